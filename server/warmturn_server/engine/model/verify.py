"""Whether an executor says what the model says: a wrong one is refused before it serves anybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ...errors import ModelRefused
from ...kvcache import KVBuffer
from .executor import Executor, Work
from .own import OwnAnswer, in_chunks

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_LOW_PRECISION_TOLERANCE = 0.1


@torch.inference_mode()
def refuse_if_wrong(executor: Executor, name: str, own: Sequence[OwnAnswer], buffer: Callable[[int], KVBuffer]) -> None:
    """Compare with what the model `name` says itself: its sequences together and one alone, beyond a short window.

    They go in chunks, as in service, and are compared after each, for in bfloat16 a single token may be far off by
    nothing but rounding. `buffer` makes an empty one for so many tokens. Raises `ModelRefused`.
    """
    expected = torch.cat([torch.stack([answer.logits for answer in some], 1) for some in (own, own[:1])], 1)
    got = torch.cat([_said(executor, some, buffer) for some in (own, own[:1])], 1)
    difference = (expected.float() - got).norm() / expected.float().norm()
    if not difference <= _TOLERANCE.get(expected.dtype, _LOW_PRECISION_TOLERANCE):
        raise ModelRefused(
            f"{name} gives other logits here than with its own attention (off by {difference:.1%}); "
            "serving it would be silently wrong"
        )


def _said(executor: Executor, own: Sequence[OwnAnswer], buffer: Callable[[int], KVBuffer]) -> torch.Tensor:
    """Logits `[chunks, sequences, vocabulary]`."""
    count = len(own[0].token_ids)
    buffers = [buffer(count) for _ in own]
    steps = [
        [Work(kv, answer.token_ids[part]) for kv, answer in zip(buffers, own, strict=True)] for part in in_chunks(count)
    ]
    return torch.stack([executor.forward(step) for step in steps])
