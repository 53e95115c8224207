"""Whether an executor says what the model says: a wrong one is refused before it serves anybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ...errors import ModelRefused
from ...kvcache import KVBuffer
from .executor import Executor, Work
from .loader import LoadedModel, as_attention

_CHECK_TOKENS = 48
_LONGEST_CHECK = 160
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_LOW_PRECISION_TOLERANCE = 0.1


@torch.inference_mode()
def refuse_if_wrong(executor: Executor, loaded: LoadedModel, buffer: Callable[[int], KVBuffer]) -> None:
    """Compare with the model's own eager attention: two sequences together and one alone, beyond a short window.

    They go in chunks, the last of one token, as in service. `buffer` makes an empty one for so many tokens. Raises
    `ModelRefused`.
    """
    sequences = _random_sequences(loaded)
    own = [_own_logits(loaded, ids) for ids in sequences]
    expected = torch.stack([*own, own[0]]).float()
    got = torch.cat([_in_chunks(executor, some, buffer) for some in (sequences, sequences[:1])])
    difference = (expected - got).norm() / expected.norm()
    if not difference <= _TOLERANCE.get(loaded.dtype, _LOW_PRECISION_TOLERANCE):
        raise ModelRefused(
            f"{loaded.name} gives other logits here than with its own attention (off by {difference:.1%}); "
            "serving it would be silently wrong"
        )


def _random_sequences(loaded: LoadedModel) -> list[list[int]]:
    longest_window = max((window or 0 for window in loaded.windows), default=0)
    wanted = max(_CHECK_TOKENS, longest_window + 16 if longest_window + 16 <= _LONGEST_CHECK else 0)
    generator = torch.Generator().manual_seed(0)
    count = min(wanted, loaded.context_length)
    return torch.randint(loaded.vocab_size, (2, count), generator=generator).tolist()


def _own_logits(loaded: LoadedModel, token_ids: Sequence[int]) -> torch.Tensor:
    with as_attention(loaded.model, "eager"):
        logits: torch.Tensor = loaded.model(
            input_ids=torch.tensor([token_ids], device=loaded.device),
            position_ids=torch.arange(len(token_ids), device=loaded.device)[None],
            use_cache=False,
        ).logits[0, -1]
    return logits


def _in_chunks(
    executor: Executor, sequences: Sequence[Sequence[int]], buffer: Callable[[int], KVBuffer]
) -> torch.Tensor:
    """Logits of the last tokens."""
    count = len(sequences[0])
    buffers = [buffer(count) for _ in sequences]
    logits = torch.empty(0)
    for start, stop in ((0, count // 3), (count // 3, count - 1), (count - 1, count)):
        step = [Work(buffer, ids[start:stop]) for buffer, ids in zip(buffers, sequences, strict=True) if stop > start]
        logits = executor.forward(step) if step else logits
    return logits
