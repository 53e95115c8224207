"""Which turns are played when: rounds, each of them played once in every mode."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

from warmturn.wire import ReuseMode
from warmturn_bench.workload.script import Script, Scripts


@dataclass(frozen=True, slots=True)
class Part:
    """Turns `first` to `last` (without it) of one conversation, one after the other."""

    script: Script
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Round:
    """`half_way`: half of all rounds lie before it."""

    number: int
    parts: tuple[Part, ...]
    half_way: bool = False

    @property
    def num_turns(self) -> int:
        return sum(part.last - part.first for part in self.parts)


@dataclass(frozen=True, slots=True)
class Plan:
    """`conversations` None: new ones for ever, `together` at a time. `kills`: the server, half-way."""

    scripts: Scripts
    conversations: int | None
    together: int
    in_rounds: bool = False
    kills: bool = False

    def rounds(self) -> Iterator[Round]:
        return self._by_turn() if self.in_rounds else self._by_conversation()

    @property
    def num_turns(self) -> int | None:
        """In one mode."""
        if self.conversations is None:
            return None
        return sum(one.num_turns for one in self.rounds())

    def _by_conversation(self) -> Iterator[Round]:
        """A few conversations at a time, from beginning to end."""
        numbers = count() if self.conversations is None else iter(range(self.conversations))
        for number, group in enumerate(_batches(numbers, self.together)):
            scripts = (self.scripts.script(one) for one in group)
            yield Round(number, tuple(Part(script, 0, len(script.turns)) for script in scripts if script.turns))

    def _by_turn(self) -> Iterator[Round]:
        """One turn of every conversation at a time."""
        scripts = [self.scripts.script(number) for number in range(self.conversations or self.together)]
        longest = max((len(script.turns) for script in scripts), default=0)
        for number in range(longest):
            parts = tuple(Part(script, number, number + 1) for script in scripts if number < len(script.turns))
            yield Round(number, parts, half_way=0 < number == longest // 2)


def _batches(numbers: Iterator[int], size: int) -> Iterator[tuple[int, ...]]:
    while group := tuple(islice(numbers, size)):
        yield group


def mode_order(modes: Sequence[ReuseMode], first: int, round_number: int) -> tuple[ReuseMode, ...]:
    """Rotated from round to round, so that each mode is as often early as late."""
    turned = (first + round_number) % len(modes)
    return (*modes[turned:], *modes[:turned])
