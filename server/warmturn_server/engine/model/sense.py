"""Whether a model that somebody converted still makes sense: plain text must be likelier than its shuffled words."""

from __future__ import annotations

import random
from typing import Final

import torch
from transformers import PreTrainedTokenizerBase

from ...errors import ModelRefused
from .executor import Work
from .runner import ModelRunner
from .tokenizer import backend_of

PLAIN_TEXT: Final = (
    "Hello! The capital of France is Paris, and the capital of Italy is Rome. "
    "One and one is two, and two and two is four."
)
_AT_MOST: Final = 0.9
"""Of the shuffled words' surprise: a 135M model that speaks comes to 0.4, random weights to 1.0."""


def refuse_nonsense(runner: ModelRunner, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise `ModelRefused` where no language is left in the weights, or the tokenizer is not theirs."""
    token_ids = backend_of(tokenizer).encode(PLAIN_TEXT, add_special_tokens=False).ids[: runner.context_length]
    shuffled = random.Random(0).sample(token_ids, len(token_ids))
    plain, mixed = _surprise(runner, token_ids), _surprise(runner, shuffled)
    if not plain <= _AT_MOST * mixed:
        raise ModelRefused(
            f"{runner.name} finds plain text as unlikely as its shuffled words ({plain:.1f} and {mixed:.1f} nats a "
            "token): the file is damaged, or was converted in a way that is not understood here"
        )


def _surprise(runner: ModelRunner, token_ids: list[int]) -> float:
    """Nats a token."""
    rows = range(len(token_ids) - 1)
    logits = runner.forward([Work(runner.buffer(len(token_ids)), token_ids, wants_logits=False, rows=rows)])
    told = torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(token_ids[1:], device=logits.device)[:, None])
    return -float(told.mean())
