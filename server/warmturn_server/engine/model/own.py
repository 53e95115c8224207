"""What a model itself says, by transformers' own modules and eager attention: what everything else is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from .loader import LoadedModel, as_attention

_CHECK_TOKENS = 48
_LONGEST_CHECK = 160
_DECODED = 4


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    """Of one sequence: `logits` `[chunks, vocabulary]` of each chunk's last token, when it goes `in_chunks`.

    `hidden` `[layers + 1, tokens, width]`: what goes into each of the watched layers, and what comes out of the last.
    """

    token_ids: Sequence[int]
    logits: torch.Tensor
    hidden: Sequence[torch.Tensor] = ()


def in_chunks(num_tokens: int) -> list[slice]:
    """As in service: a beginning, more after it, and then token by token."""
    decoded = range(max(num_tokens - _DECODED, 0), num_tokens + 1)
    bounds = sorted({0, num_tokens // 3, *decoded})
    return [slice(start, stop) for start, stop in pairwise(bounds)]


@torch.inference_mode()
def own_answers(loaded: LoadedModel, layers: Sequence[nn.Module] = ()) -> list[OwnAnswer]:
    """For two random sequences, beyond a short window. Ask before anything of the model is replaced."""
    return [_own_answer(loaded, token_ids, layers) for token_ids in _random_sequences(loaded)]


def _random_sequences(loaded: LoadedModel) -> list[list[int]]:
    longest_window = max((window or 0 for window in loaded.windows), default=0)
    wanted = max(_CHECK_TOKENS, longest_window + 16 if longest_window + 16 <= _LONGEST_CHECK else 0)
    generator = torch.Generator().manual_seed(0)
    count = min(wanted, loaded.context_length)
    return torch.randint(loaded.vocab_size, (2, count), generator=generator).tolist()


def _own_answer(loaded: LoadedModel, token_ids: Sequence[int], layers: Sequence[nn.Module]) -> OwnAnswer:
    ends = [part.stop - 1 for part in in_chunks(len(token_ids))]
    with as_attention(loaded.model, "eager"), _watched(layers) as hidden:
        logits: torch.Tensor = loaded.model(
            input_ids=torch.tensor([token_ids], device=loaded.device),
            position_ids=torch.arange(len(token_ids), device=loaded.device)[None],
            use_cache=False,
        ).logits[0, ends]
    return OwnAnswer(token_ids, logits, hidden)


@contextmanager
def _watched(layers: Sequence[nn.Module]) -> Iterator[list[torch.Tensor]]:
    seen: list[torch.Tensor] = []

    def note(_: nn.Module, given: tuple[torch.Tensor, ...], out: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        seen[-1:] = [given[0][0].clone(), (out if isinstance(out, torch.Tensor) else out[0])[0].clone()]

    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_hook(note).remove)
        yield seen
