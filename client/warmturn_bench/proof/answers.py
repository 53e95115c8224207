"""What a server answered, and where two answers to the same prompt part."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any, Self

Json = dict[str, Any]
_SHOWN_BEFORE = 60


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation as far as one of its questions. What the assistant said in it was made up beforehand, so that it
    is the same whatever the server answers."""

    conversation: int
    turn: int
    messages: tuple[dict[str, str], ...]
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """`tokens` with their log-probabilities, where the server tells them; else the text alone is known."""

    text: str
    tokens: tuple[str, ...] | None = None
    logprobs: tuple[float, ...] = ()
    cached_tokens: int | None = None

    @classmethod
    def of(cls, completion: Json) -> Self:
        choice = completion["choices"][0]
        message = choice.get("message") or {}
        thought = message.get("reasoning_content") or message.get("reasoning") or ""
        told = (choice.get("logprobs") or {}).get("content") or []
        tokens = tuple(_exact(entry) for entry in told) if told else None
        logprobs = tuple(float(entry.get("logprob") or 0.0) for entry in told)
        details = (completion.get("usage") or {}).get("prompt_tokens_details") or {}
        return cls(thought + (message.get("content") or ""), tokens, logprobs, details.get("cached_tokens"))

    @property
    def pieces(self) -> Sequence[str]:
        """Tokens, else characters."""
        return self.text if self.tokens is None else self.tokens


@dataclass(frozen=True, slots=True)
class Difference:
    """The first one. `at`: which token, or which character where tokens are not told. None: the answer had ended."""

    conversation: int
    turn: int
    at: int
    unit: str
    common: str
    before: str | None
    after: str | None
    before_logprob: float | None
    after_logprob: float | None
    before_text: str
    after_text: str

    def as_dict(self) -> Json:
        return asdict(self)


def difference(prompt: Prompt, before: Answer, after: Answer) -> Difference | None:
    """None where both are the same: all tokens, and all of the text."""
    by_token = before.tokens is not None and after.tokens is not None
    same_tokens = by_token and before.tokens == after.tokens
    if before.text == after.text and (same_tokens or not by_token):
        return None
    left, right = (before.pieces, after.pieces) if by_token and not same_tokens else (before.text, after.text)
    pairs = enumerate(zip_longest(left, right))
    at, (old, new) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
    is_token = by_token and not same_tokens
    return Difference(
        prompt.conversation,
        prompt.turn,
        at,
        "token" if is_token else "character",
        "".join(left[:at])[-_SHOWN_BEFORE:],
        old,
        new,
        _at(before.logprobs, at) if is_token else None,
        _at(after.logprobs, at) if is_token else None,
        before.text,
        after.text,
    )


def _exact(entry: Json) -> str:
    """Tokens that are a part of a character all look alike; their bytes do not."""
    token = str(entry.get("token", ""))
    given = entry.get("bytes")
    return f"{token}{bytes(given)!r}" if "\ufffd" in token and isinstance(given, list) else token


def _at(values: Sequence[float], at: int) -> float | None:
    return values[at] if at < len(values) else None
