"""What it costs to prepare prompts before they come, and what comes of it."""

from __future__ import annotations

from typing import get_args

from prometheus_client import CollectorRegistry, Counter

from ..engine_api import AheadCause


class AheadCounts:
    """By what let a prompt be expected: a reply that the template rewrites, or somebody who types.

    Prompts that were begun and had no turn are those that never came, came another way, or have yet to come.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def count(name: str, told: str) -> Counter:
            return Counter(f"warmturn_ahead_{name}", told, ["cause"], registry=registry)

        self.begun = count("prompts", "Expected prompts that were begun to be prepared")
        self.turns = count("turns", "Turns that went on from what was prepared for them")
        self.computed = count("computed_tokens", "Tokens computed before they were asked for, while nobody waited")
        self.used = count("used_tokens", "Those of them that a turn went on from")
        self.spent = count("spent_seconds", "Computing them, while nobody waited")
        self.saved = count("saved_seconds", "What the used ones would have taken their turns, estimated")
        for cause in get_args(AheadCause):
            for counter in self._all:
                counter.labels(cause)

    def snapshot(self) -> dict[str, dict[str, float]]:
        """For `/v1/stats`."""
        names = ("prompts", "turns", "computed_tokens", "used_tokens", "spent_seconds", "saved_seconds")
        values = {name: _by_cause(counter) for name, counter in zip(names, self._all, strict=True)}
        return {cause: {name: values[name][cause] for name in names} for cause in get_args(AheadCause)}

    @property
    def _all(self) -> tuple[Counter, ...]:
        return self.begun, self.turns, self.computed, self.used, self.spent, self.saved


def _by_cause(counter: Counter) -> dict[str, float]:
    samples = (sample for family in counter.collect() for sample in family.samples)
    return {label: sample.value for sample in samples for label in sample.labels.values()}
