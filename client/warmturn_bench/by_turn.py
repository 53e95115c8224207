"""A run's tokens turn by turn: how much of a prompt that grows is computed."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from warmturn_bench.sample import Sample


@dataclass(frozen=True, slots=True)
class TurnFigures:
    """Of all conversations' turns with this number, from 0: how many there are, and their tokens together.

    None where the server does not say it of each of them.
    """

    turn: int
    turns: int
    prompt_tokens: int | None
    computed_tokens: int | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def in_words(self) -> str:
        """On average."""
        if self.prompt_tokens is None or self.computed_tokens is None:
            return "?"
        return f"{self.computed_tokens / self.turns:,.0f} of {self.prompt_tokens / self.turns:,.0f}"


def turn_figures(samples: Sequence[Sample]) -> tuple[TurnFigures, ...]:
    """`samples` of one mode, without those that failed."""
    of_each: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        of_each[sample.asked.turn].append(sample)
    return tuple(_figures(turn, found) for turn, found in sorted(of_each.items()))


def _figures(turn: int, samples: Sequence[Sample]) -> TurnFigures:
    prompts = [one.prompt_tokens for one in samples if one.prompt_tokens is not None]
    cached = [one.cached_tokens for one in samples if one.cached_tokens is not None]
    known = len(prompts) == len(samples)
    computed = sum(prompts) - sum(cached) if known and len(cached) == len(samples) else None
    return TurnFigures(turn, len(samples), sum(prompts) if known else None, computed)
