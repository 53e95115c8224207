"""What the engine is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from .grammar import Grammar
from .lookback import LookbackRequest

TokenIds = Sequence[int]


class ReuseMode(StrEnum):
    """How much of what was computed before a turn may use; the answer is the same, the time is not."""

    STATE = "state"
    """Continue from saved state."""
    PROMPT = "prompt"
    """A stateless server: one prefill of the whole prompt, then cached decoding."""
    NOTHING = "nothing"
    """No cache at all: every output token recomputes the whole sequence."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How output tokens are chosen and when they end. Temperature 0 is greedy.

    `ignore_eos`: an end token is never chosen. One in mid-reply has no place in a message's text, so the next turn
    could not go on from it. `stop_token_ids` end a reply as end tokens do. Nothing ends it before `min_tokens`.
    `bad_words`: no reply contains any of these strings. `logit_bias`: token ids, and what is added to their logits.
    `grammar`: the form of the whole reply, which ends where that does.
    """

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logprobs: int | None = None
    ignore_eos: bool = False
    stop_token_ids: tuple[int, ...] = ()
    min_tokens: int = 0
    bad_words: tuple[str, ...] = ()
    logit_bias: tuple[tuple[int, float], ...] = ()
    grammar: Grammar | None = None

    @property
    def choice(self) -> dict[str, float]:
        """How tokens are chosen, for whoever left that to the model."""
        names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
        return {name: getattr(self, name) for name in names}

    @property
    def greedy(self) -> bool:
        """Zero, or so close to it that dividing by it would overflow."""
        return self.temperature < 1e-6

    @property
    def penalised(self) -> bool:
        return bool(self.presence_penalty or self.frequency_penalty or self.repetition_penalty != 1.0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands at one place: a token and the characters on either side of where the texts part.

    `token` is None for an id that is no whole character by itself; both are None at the end of the text.
    """

    token_id: int | None
    token: str | None
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A template changed history: the record has `expected` at this token, the new prompt has `got`.

    `known_tokens` of the record had been computed.
    """

    at_token: int
    known_tokens: int
    expected: Reading
    got: Reading


AheadCause = Literal["reply", "typing"]
"""Why a prompt is expected: a reply was given that the next one begins with, or the user is writing it."""


@dataclass(frozen=True, slots=True)
class AheadRequest:
    """How a prompt is expected to begin: to be computed while nobody waits for anything, and saved nowhere.

    `follows` names the conversation or turn that it will go on from, `origin` has the ids of record there: with their
    state this one's is forgotten. What is typed goes if nothing is heard of it for a while.
    """

    token_ids: tuple[int, ...]
    follows: str
    cause: AheadCause
    origin: tuple[int, ...] = ()
    tenant: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.tenant, self.follows


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a turn's state is kept, where that was asked for.

    `ends`: lengths of the prompt that a later turn can go on from exactly, not just the end of a block before them.
    `most`: nothing behind so many tokens is kept; None for all of it. `promised`: it has to come to where promises are
    kept.
    """

    ends: tuple[int, ...] = ()
    most: int | None = None
    promised: bool = False


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One turn's prompt, as token ids.

    `tenant` separates saved state and is derived on the server. `known_tokens` is how many leading tokens an earlier
    turn had computed, `rewrite` where the template changed this conversation's history, and then `history_tokens`: how
    many stand before what the turn adds, 0 if that is unknown; `continues`: an earlier turn of this very conversation
    was had, here or on another server; `foreign_tokens`: so many ids of another tokenizer are on
    record of it, and no others. They explain misses, and tell whether the turn came to a server that holds it.
    `lookback` asks what the output looked at. `waited_seconds`: how long ago the turn was asked for when it is handed
    over. `near_copies`: what was said where this turn is said otherwise or once more; its reply may say some of it
    again.
    """

    token_ids: tuple[int, ...]
    sampling: SamplingParams = SamplingParams()
    reuse: ReuseMode = ReuseMode.STATE
    tenant: str = ""
    known_tokens: int = 0
    foreign_tokens: int = 0
    rewrite: Rewrite | None = None
    history_tokens: int = 0
    continues: bool = False
    lookback: LookbackRequest | None = None
    waited_seconds: float = 0.0
    follows: str = ""
    """What it goes on from, as an `AheadRequest` names it; empty where nobody could have expected it."""
    near_copies: tuple[tuple[int, ...], ...] = ()
    prompt_logprobs: int | None = None
    """How many alternatives to tell of each token of the prompt; it takes a turn that reuses nothing."""
    lasting: bool = True
    """Whether the turn will be in the log: the state of one that is not may only stay for a while."""
    prewarm: bool = False
    """Whether only its prompt is computed and saved: nothing is chosen."""
    keeping: Keeping = Keeping()

    @property
    def recomputes_reply(self) -> bool:
        """Whether it is no turn, but a look back at one: nothing of it is kept or counted."""
        return self.lookback is not None and self.lookback.recomputes_reply
