"""The harness itself: a long run can be cut off anywhere, and tells the truth about what did not hold."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults import long
from tests.faults.__main__ import all_rows
from tests.faults.mutations import MUTATIONS, ROOT, Mutation, mutated
from tests.faults.record import Record, Run
from tests.faults.row import Outcome, Row, Trial
from tests.faults.short import hold
from tests.faults.table import table

RUN = Run("sample", seed=7, commit="abc1234", machine="a machine")


class Sample:
    """A row whose trials are remembered, and some of which do not hold."""

    def __init__(self, failing: frozenset[int] = frozenset()) -> None:
        self.tried: list[tuple[int, float]] = []
        self.rigs = 0
        self._failing = failing
        self.row = Row("sample", "it holds", long=6, short=2, rig=self._rig)

    @contextmanager
    def _rig(self, folder: Path) -> Iterator[Trial]:
        assert folder.is_dir()
        self.rigs += 1
        yield self._try

    def _try(self, number: int, chance: random.Random) -> Outcome:
        drawn = chance.random()
        self.tried.append((number, drawn))
        assert number not in self._failing, f"number {number} did not hold"
        return Outcome(Counter(trials=1), {"drawn": drawn})


class CutOff(BaseException):
    pass


def test_a_run_that_was_cut_off_goes_on_and_sees_what_it_would_have_seen(tmp_path: Path) -> None:
    whole, parts = Sample(), Sample()
    uninterrupted = Record(RUN)
    long.run(whole.row, uninterrupted, 6, lambda _: None)

    def save_and_cut(record: Record) -> None:
        record.save(tmp_path)
        if record.trials == 4:
            raise CutOff

    with pytest.raises(CutOff):
        long.run(parts.row, Record.of(RUN, tmp_path), 6, save_and_cut)
    resumed = Record.of(RUN, tmp_path)
    long.run(parts.row, resumed, 6, lambda record: record.save(tmp_path))
    assert parts.tried == whole.tried
    assert resumed.seen == uninterrupted.seen == Record.of(RUN, tmp_path).seen
    assert resumed.trials == 6


@pytest.mark.parametrize("change", [{"seed": 8}, {"commit": "def5678"}])
def test_another_seed_or_commit_begins_anew(tmp_path: Path, change: dict[str, object]) -> None:
    Record(RUN, trials=3).save(tmp_path)
    other = Run(**{"row": "sample", "seed": 7, "commit": "abc1234", "machine": "a machine", **change})  # type: ignore[arg-type]
    assert Record.of(other, tmp_path).trials == 0
    assert Record.of(RUN, tmp_path).trials == 3


def test_what_did_not_hold_is_told_and_spoils_nothing_else(tmp_path: Path) -> None:
    sample, record = Sample(failing=frozenset({1, 3})), Record(RUN)
    long.run(sample.row, record, 6, lambda record: record.save(tmp_path))
    assert [number for number, _ in record.failures] == [1, 3]
    assert "number 3 did not hold" in record.failures[1][1]
    assert record.seen.counts == Counter(trials=4)
    assert sample.rigs == 3, "what a failed trial left behind is not used again"
    assert "| `sample` | 6 | 2 | 4 trials" in table([Record.of(RUN, tmp_path)])


def test_the_short_form_fails_where_a_trial_does(tmp_path: Path) -> None:
    assert hold(Sample().row, tmp_path).counts == Counter(trials=2)
    with pytest.raises(AssertionError, match="number 1 did not hold"):
        hold(Sample(failing=frozenset({1})).row, tmp_path)


def test_each_row_is_named_once_and_has_a_short_form() -> None:
    for name, row in all_rows().items():
        tests = Path(__file__).parent / f"test_{name.replace('-', '_')}.py"
        assert tests.exists(), f"{tests.name} is to run the short form of {name}"
        assert 0 < row.short <= row.long


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name.split(":")[0])
def test_what_a_mutation_breaks_is_there_to_be_broken(mutation: Mutation) -> None:
    content = (ROOT / mutation.file).read_text()
    assert mutated(mutation, content) != content
    assert (ROOT / mutation.tests[0]).exists()
