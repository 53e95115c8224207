"""What is said in a conversation, decided before anything is sent: the same in every mode and for every server."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from random import Random
from typing import Protocol

from warmturn_bench.workload.functions import Function, functions_of
from warmturn_bench.workload.scenario import Scenario
from warmturn_bench.workload.vocabulary import words

_OPENING_PART, _SYSTEM_PART = 2, 4
"""A small model's context shall have room for more than these: each takes one part in so many at most."""


@dataclass(frozen=True, slots=True)
class ScriptedTurn:
    """`tokens` is what the turn will take of the context, as far as that can be foreseen.

    An agent's `text` is its task at first, then what the function that it called gave back.
    """

    text: str
    max_output_tokens: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Script:
    conversation: int
    system: str
    turns: tuple[ScriptedTurn, ...]
    system_tokens: int = 0
    functions: tuple[Function, ...] = ()
    """One of them has to be called in each turn."""

    @property
    def tokens(self) -> int:
        return self.system_tokens + sum(turn.tokens for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many tokens this model makes of our words, and of the frame around a message; and its context."""

    tokens_per_word: float
    frame_tokens: int
    context_tokens: int
    definitions_tokens: int = 0
    call_tokens: int = 0
    """Of the functions that an agent is offered, and of one call."""

    @property
    def most_call_tokens(self) -> int:
        """No two calls are of the same length, and some models think before one."""
        return 3 * self.call_tokens

    def words(self, tokens: int) -> int:
        return max(round(tokens / self.tokens_per_word), 1)

    def tokens(self, text: str) -> int:
        return round(len(text.split()) * self.tokens_per_word) + self.frame_tokens

    def turn(self, text: str, output_tokens: int) -> ScriptedTurn:
        return ScriptedTurn(text, output_tokens, self.tokens(text) + output_tokens + self.frame_tokens)

    def step(self, text: str) -> ScriptedTurn:
        """A turn that is answered with a call."""
        tokens = self.tokens(text) + self.call_tokens + self.frame_tokens
        return ScriptedTurn(text, self.most_call_tokens, tokens)

    def fitting(self, system: str, turns: Iterator[ScriptedTurn]) -> tuple[ScriptedTurn, ...]:
        """As many turns from the first as the context surely holds."""
        left = 0.95 * self.context_tokens - self.tokens(system) - self.definitions_tokens - 2 * self.call_tokens

        def fits(turn: ScriptedTurn) -> bool:
            nonlocal left
            left -= turn.tokens
            return left >= 0

        return tuple(takewhile(fits, turns))


class Scripts(Protocol):
    """Conversations by number. `count` is None where there is no end of them."""

    name: str
    about: str
    count: int | None

    def script(self, number: int) -> Script: ...


class ScenarioScripts:
    """Conversation n of a scenario and a seed says the same words whenever and wherever it is asked for."""

    def __init__(self, scenario: Scenario, turns: int, seed: int, sizes: Sizes) -> None:
        self.name, self.about = scenario.name, scenario.about
        self.count: int | None = None
        self._scenario = scenario
        self._num_turns = turns
        self._seed = seed
        self._sizes = sizes
        self._functions = functions_of(scenario, seed, sizes.context_tokens)
        shared = Random(f"{seed} system")
        self._system = words(shared, sizes.words(min(scenario.system_tokens, sizes.context_tokens // _SYSTEM_PART)))

    def script(self, number: int) -> Script:
        rng = Random(f"{self._seed} {self.name} {number}")
        turns = self._sizes.fitting(self._system, self._turns(rng))
        before = self._sizes.tokens(self._system) + self._sizes.definitions_tokens
        return Script(number, self._system, turns, before, self._functions)

    def _turns(self, rng: Random) -> Iterator[ScriptedTurn]:
        for number in range(self._num_turns):
            tokens = self._scenario.user.draw(rng)
            if number == 0 and self._scenario.opening:
                tokens += min(self._scenario.opening.draw(rng), self._sizes.context_tokens // _OPENING_PART)
            text = words(rng, self._sizes.words(tokens))
            answer_tokens = self._scenario.answer.draw(rng)
            yield self._sizes.step(text) if self._functions else self._sizes.turn(text, answer_tokens)
