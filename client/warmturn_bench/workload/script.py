"""What is said in a conversation, decided before anything is sent: the same in every mode and for every server."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from random import Random
from typing import Protocol

from warmturn_bench.workload.scenario import Scenario

_OPENING_PART, _SYSTEM_PART = 2, 4
"""A small model's context shall have room for more than these: each takes one part in so many at most."""


@dataclass(frozen=True, slots=True)
class ScriptedTurn:
    """`tokens` is what the turn will take of the context, as far as that can be foreseen."""

    text: str
    max_output_tokens: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Script:
    conversation: int
    system: str
    turns: tuple[ScriptedTurn, ...]
    system_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.system_tokens + sum(turn.tokens for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many tokens this model makes of our words, and of the frame around a message; and its context."""

    tokens_per_word: float
    frame_tokens: int
    context_tokens: int

    def words(self, tokens: int) -> int:
        return max(round(tokens / self.tokens_per_word), 1)

    def tokens(self, text: str) -> int:
        return round(len(text.split()) * self.tokens_per_word) + self.frame_tokens

    def turn(self, text: str, output_tokens: int) -> ScriptedTurn:
        return ScriptedTurn(text, output_tokens, self.tokens(text) + output_tokens + self.frame_tokens)

    def fitting(self, system: str, turns: Iterator[ScriptedTurn]) -> tuple[ScriptedTurn, ...]:
        """As many turns from the first as the context surely holds."""
        left = 0.95 * self.context_tokens - self.tokens(system)

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
        shared = Random(f"{seed} system")
        self._system = words(shared, sizes.words(min(scenario.system_tokens, sizes.context_tokens // _SYSTEM_PART)))

    def script(self, number: int) -> Script:
        rng = Random(f"{self._seed} {self.name} {number}")
        turns = self._sizes.fitting(self._system, self._turns(rng))
        return Script(number, self._system, turns, self._sizes.tokens(self._system))

    def _turns(self, rng: Random) -> Iterator[ScriptedTurn]:
        for number in range(self._num_turns):
            tokens = self._scenario.user.draw(rng)
            if number == 0 and self._scenario.opening:
                tokens += min(self._scenario.opening.draw(rng), self._sizes.context_tokens // _OPENING_PART)
            text = words(rng, self._sizes.words(tokens))
            yield self._sizes.turn(text, self._scenario.answer.draw(rng))


_TEXT = """
apple arm autumn baker bank basket beach bell bench bird blanket boat book bottle bowl bread bridge brother bucket
butter button candle carpet castle cellar chair cherry city clock cloud coat coffee corner cotton country cousin cup
curtain daughter desk dinner doctor door dream dress driver drum earth egg engine evening farm father feather field
finger fire fish flag floor flower forest fork friend fruit game garden gate glass glove grass guest guitar hammer
harbour hat heart hill horse hotel house ice island jacket journey kettle key kitchen knife ladder lake lamp
language leaf lemon letter library light lion market meadow meal milk mirror money month moon morning mother
mountain mouse museum music nail name neighbour nest night nose notebook ocean office onion orange oven owl page
paint paper park pencil pepper piano picture pillow plate pocket poem potato quarter queen question rabbit radio
rain ribbon ring river road roof room rope rose sail salt sand school scissors season shadow ship shirt shoe
shoulder silver singer sister sky snow soap song soup spoon spring stairs star station stone storm story street
sugar summer sun table tailor teacher tent thunder ticket tiger tower town train tree trumpet uncle valley village
violin voice wall watch water weather week wheel wind window winter wood wool word yard year
"""
_WORDS = _TEXT.split()


def words(rng: Random, count: int) -> str:
    """Sentences of `count` words in all, at least one."""
    chosen = [rng.choice(_WORDS) for _ in range(max(count, 1))]
    for end in range(9, len(chosen), 10):
        chosen[end] += "."
    return " ".join(chosen)
