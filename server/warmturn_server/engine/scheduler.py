"""Who runs in the next step: pure policy over sequences, nothing is computed here."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from .sequence import Sequence


class WaitingLines:
    """One line for each tenant, first come first served; the lines take turns, so that nobody's hold up the others."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[Sequence]] = OrderedDict()

    def __iter__(self) -> Iterator[Sequence]:
        for line in list(self._lines.values()):
            yield from list(line)

    def __len__(self) -> int:
        return sum(len(line) for line in list(self._lines.values()))

    @property
    def first(self) -> Sequence | None:
        """Whose turn it is; who waits for a prompt that is being computed lets others pass."""
        return next((sequence for sequence in self if not sequence.is_held_back), None)

    def add(self, sequence: Sequence) -> None:
        self._lines.setdefault(sequence.request.tenant, deque()).append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """One that was served or gave up; its line is the last to be served again."""
        tenant = sequence.request.tenant
        self._lines[tenant].remove(sequence)
        if self._lines[tenant]:
            self._lines.move_to_end(tenant)
        else:
            del self._lines[tenant]


class Scheduler:
    """First come, first admitted. In a step every decoding sequence gets its token, prefills share the rest.

    Of several prompts the first is answered sooner if it is computed alone, the last if all are computed at once,
    for each step costs something whatever is in it, as much as some tokens. On the whole they wait least if a step
    takes no further prompt once it has so many tokens of prefill (`step_tokens`): few on a CPU, thousands on a GPU.
    """

    def __init__(self, prefill_budget: int, step_tokens: Callable[[], float] = lambda: math.inf) -> None:
        self.prefill_budget = prefill_budget
        self._step_tokens = step_tokens
        self.waiting = WaitingLines()
        self.running: list[Sequence] = []

    def __iter__(self) -> Iterator[Sequence]:
        yield from self.running
        yield from self.waiting

    def __contains__(self, sequence: Sequence) -> bool:
        return any(other is sequence for other in self)

    @property
    def busy(self) -> bool:
        return bool(self.running) or len(self.waiting) > 0

    @property
    def next_waiting(self) -> Sequence | None:
        return self.waiting.first

    def add(self, sequence: Sequence) -> None:
        self.waiting.add(sequence)

    def start(self, sequence: Sequence) -> None:
        """From waiting to running."""
        self.waiting.remove(sequence)
        self.running.append(sequence)

    def plan(self) -> list[tuple[Sequence, int]]:
        """The next step: sequences and how many pending tokens of each, at most the budget's worth of prefill.

        Prefills go in order of their last chunk or token (or arrival), so that neither a long prompt nor one that
        recomputes everything for each token keeps the others waiting for longer than a chunk.
        """
        ready = [sequence for sequence in self.running if not sequence.restoring]
        step = [(sequence, 1) for sequence in ready if sequence.num_pending == 1]
        prefilled = 0
        for sequence in sorted(ready, key=lambda sequence: sequence.last_scheduled):
            if sequence.num_pending > 1:
                if prefilled and prefilled >= min(self.prefill_budget, self._step_tokens()):
                    break
                count = min(sequence.num_pending, self.prefill_budget - prefilled)
                step.append((sequence, count))
                prefilled += count
        return step

    def remove(self, sequence: Sequence) -> None:
        """One that is over, wherever it is."""
        if any(other is sequence for other in self.running):
            self.running.remove(sequence)
        elif any(other is sequence for other in self.waiting):
            self.waiting.remove(sequence)
