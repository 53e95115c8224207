"""Who runs in the next step: pure policy over sequences, nothing is computed here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from .sequence import Sequence


class Scheduler:
    """First come, first admitted. In a step every decoding sequence gets its token, prefills share the rest."""

    def __init__(self, prefill_budget: int) -> None:
        self.prefill_budget = prefill_budget
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []

    def __iter__(self) -> Iterator[Sequence]:
        yield from self.running
        yield from self.waiting

    def plan(self) -> list[tuple[Sequence, int]]:
        """The next step: sequences and how many pending tokens of each, at most the budget's worth of prefill.

        Prefills go in order of their last chunk or token (or arrival), so that neither a long prompt nor one that
        recomputes everything for each token keeps the others waiting for longer than a chunk.
        """
        ready = [sequence for sequence in self.running if not sequence.restoring]
        step = [(sequence, 1) for sequence in ready if sequence.num_pending == 1]
        left = self.prefill_budget
        for sequence in sorted(ready, key=lambda sequence: sequence.last_scheduled):
            if sequence.num_pending > 1 and left > 0:
                count = min(sequence.num_pending, left)
                step.append((sequence, count))
                left -= count
        return step

    def remove(self, sequence: Sequence) -> None:
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
