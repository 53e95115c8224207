"""What a person sees while it runs: nothing where nobody looks."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column

from warmturn.format import milliseconds
from warmturn.wire import REUSE_MODES, ReuseMode
from warmturn_bench.resampling import percentile
from warmturn_bench.sample import Sample
from warmturn_bench.time_left import TimeLeft


class View:
    """Draws on a terminal only; a log file gets no bars."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[figures]}", style="dim", table_column=_room_that_is_left()),
            console=console,
            expand=True,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("starting", total=None, figures="", left="")
        self._left = TimeLeft(clock)
        self._ttft: dict[ReuseMode, list[float]] = defaultdict(list)
        self._errors = 0

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._progress:
            yield

    def doing(self, what: str) -> None:
        self._progress.update(self._task, description=what)

    def expect(self, turns: int | None, seconds: float | None = None) -> None:
        """So many turns, or as many as end within the time."""
        self._left.turns, self._left.seconds = turns, seconds
        self._progress.update(self._task, total=turns)

    def segment(self, round_number: int, mode: ReuseMode) -> None:
        self._left.begin()
        self.doing(f"round {round_number + 1}, {mode}")

    def turn(self, sample: Sample) -> None:
        if sample.ttft_ms is not None:
            self._ttft[sample.asked.mode].append(sample.ttft_ms)
        self._errors += sample.error is not None
        self._left.done += 1
        self._progress.update(self._task, advance=1, figures=self._figures(), left=self._left.in_words())

    def _figures(self) -> str:
        medians = (
            f"{mode} {milliseconds(percentile(seen, 50) or 0.0)}" for mode in REUSE_MODES if (seen := self._ttft[mode])
        )
        errors = f"{self._errors} failed · " if self._errors else ""
        return f"{errors}TTFT {' · '.join(medians)}"


def _room_that_is_left() -> Column:
    """Figures grow with every mode; where the run stands must stay in sight."""
    return Column(ratio=1, no_wrap=True, overflow="ellipsis")
