"""Whether an executor says what the model says: a wrong one is refused before it serves anybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch

from ...errors import ModelRefused
from ...kvcache import KVBuffer
from .executor import Executor, Work
from .own import OwnAnswer

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_LOW_PRECISION_TOLERANCE = 0.1


@torch.inference_mode()
def refuse_if_wrong(executor: Executor, name: str, own: Sequence[OwnAnswer], buffer: Callable[[int], KVBuffer]) -> None:
    """Compare with what the model `name` says itself: its sequences together and one alone, beyond a short window.

    They go in chunks, the last of one token, as in service. `buffer` makes an empty one for so many tokens. Raises
    `ModelRefused`.
    """
    expected = torch.stack([answer.logits for answer in [*own, own[0]]])
    got = torch.cat([_in_chunks(executor, some, buffer) for some in (own, own[:1])])
    difference = (expected.float() - got).norm() / expected.float().norm()
    if not difference <= _TOLERANCE.get(expected.dtype, _LOW_PRECISION_TOLERANCE):
        raise ModelRefused(
            f"{name} gives other logits here than with its own attention (off by {difference:.1%}); "
            "serving it would be silently wrong"
        )


def in_chunks(num_tokens: int) -> Iterator[slice]:
    """A beginning, more after it, and one token after that."""
    bounds = (0, num_tokens // 3, num_tokens - 1, num_tokens)
    return (slice(start, stop) for start, stop in pairwise(bounds) if stop > start)


def _in_chunks(executor: Executor, own: Sequence[OwnAnswer], buffer: Callable[[int], KVBuffer]) -> torch.Tensor:
    """Logits of the last tokens."""
    count = len(own[0].token_ids)
    buffers = [buffer(count) for _ in own]
    logits = torch.empty(0)
    for part in in_chunks(count):
        logits = executor.forward(
            [Work(buffer, answer.token_ids[part]) for buffer, answer in zip(buffers, own, strict=True)]
        )
    return logits
