"""Runs a row's trials one after the other, and writes down what came of each."""

import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.faults.record import Record
from tests.faults.row import Row, Trial, chance


class _Rig:
    """The row's, opened when it is first needed and again after `spoil`."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._open = ExitStack()
        self._trial: Trial | None = None

    def __enter__(self) -> "_Rig":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def trial(self) -> Trial:
        if self._trial is None:
            folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix=f"{self._row.name}-"))
            self._trial = self._open.enter_context(self._row.rig(Path(folder)))
        return self._trial

    def spoil(self) -> None:
        self._trial = None
        self._open.close()


def run(row: Row, record: Record, count: int, tell: Callable[[Record], None]) -> None:
    """The trials that `record` lacks up to `count`; `tell` is called after each."""
    with _Rig(row) as rig:
        for number in range(record.trials, count):
            began = time.monotonic()
            try:
                outcome = rig.trial(number, chance(record.run.seed, number))
                record.seen = record.seen.with_another(outcome)
            except Exception:
                record.failures.append((number, traceback.format_exc(limit=-3)))
                rig.spoil()
            record.trials = number + 1
            record.seconds += time.monotonic() - began
            tell(record)
