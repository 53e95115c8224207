"""Whether an executor gives the same bits however work is cut and batched: tried before anybody relies on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ....errors import ModelRefused
from ....kvcache import KVBuffer
from ..executor import Executor, Work

_TOKENS = 560
"""More than attention takes in one block."""
_PIECES = (1, 1, 2, 1, 3, 5, 1, 8, 1, 17)
_BESIDE = (1, 0, 4, 30, 1, 0, 1, 2, 9, 1)
"""Tokens of another sequence in the same steps."""


@torch.inference_mode()
def refuse_if_inexact(
    executor: Executor, vocab_size: int, context_length: int, buffer: Callable[[int], KVBuffer]
) -> None:
    """One prefill, and the same tokens in pieces beside another sequence. Raises `ModelRefused`."""
    count = min(_TOKENS, context_length)
    pieces = _pieces(count)
    begin = count - sum(pieces)
    ids, other = torch.randint(vocab_size, (2, count), generator=torch.Generator().manual_seed(1)).tolist()
    whole = executor.forward([Work(buffer(count), ids, rows=range(begin, count - 1))])
    if not torch.equal(whole, _in_pieces(executor, ids, other, pieces, buffer)):
        raise ModelRefused(
            "the same tokens in other pieces come out otherwise on this machine: --exact cannot be kept here (with "
            "--threads a power of two, or without --weights, it may)"
        )


def _pieces(count: int) -> list[int]:
    """As many as leave something for a beginning."""
    kept, left = list[int](), count // 2
    for piece in _PIECES:
        if piece <= left:
            kept.append(piece)
            left -= piece
    return kept


def _in_pieces(
    executor: Executor,
    ids: Sequence[int],
    other: Sequence[int],
    pieces: Sequence[int],
    buffer: Callable[[int], KVBuffer],
) -> torch.Tensor:
    """Logits of all tokens but those of the beginning."""
    mine, beside, at = buffer(len(ids)), buffer(len(ids)), len(ids) - sum(pieces)
    executor.forward([Work(mine, ids[: at // 2], wants_logits=False)])
    executor.forward([Work(mine, ids[at // 2 : at], wants_logits=False)])
    seen = list[torch.Tensor]()
    for piece, others in zip(pieces, _BESIDE, strict=False):
        company = [Work(beside, other[beside.length : beside.length + others], wants_logits=False)] if others else []
        seen.append(executor.forward([*company, Work(mine, ids[at : at + piece], rows=range(piece - 1))]))
        at += piece
    return torch.cat(seen)
