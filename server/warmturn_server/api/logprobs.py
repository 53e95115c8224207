"""Log-probabilities in OpenAI's form."""

from __future__ import annotations

from collections.abc import Iterable

from ..chat import TextTokenizer
from ..engine import TokenLogprobs
from .json import Json


def logprob_objects(tokenizer: TextTokenizer, logprobs: Iterable[TokenLogprobs]) -> list[Json]:
    """One object a token. Special tokens are left out: they are not part of the text."""
    return [
        {
            **_token(tokenizer, entry.token_id, entry.logprob),
            "top_logprobs": [_token(tokenizer, token_id, logprob) for token_id, logprob in entry.top],
        }
        for entry in logprobs
        if not tokenizer.is_special(entry.token_id)
    ]


def _token(tokenizer: TextTokenizer, token_id: int, logprob: float) -> Json:
    return {
        "token": tokenizer.token_text(token_id),
        "logprob": max(logprob, -9999.0),
        "bytes": list(tokenizer.token_bytes(token_id)),
    }
