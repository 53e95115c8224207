"""A run's figures conversation by conversation: what two runs are compared by."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from warmturn_bench.sample import Sample


@dataclass(frozen=True, slots=True)
class ConversationFigures:
    """Of the turns that were answered: how many, and how long they took together, in milliseconds."""

    number: int
    turns: int
    ttft_ms: float
    e2e_ms: float

    def as_dict(self) -> dict[str, Any]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


def conversation_figures(samples: Sequence[Sample]) -> tuple[ConversationFigures, ...]:
    """`samples` of one mode, without those that failed."""
    of_each: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        of_each[sample.asked.conversation].append(sample)
    return tuple(_figures(number, turns) for number, turns in sorted(of_each.items()))


def _figures(number: int, turns: Sequence[Sample]) -> ConversationFigures:
    ttft_ms = sum(turn.ttft_ms or 0.0 for turn in turns)
    return ConversationFigures(number, len(turns), ttft_ms, sum(turn.e2e_ms or 0.0 for turn in turns))
