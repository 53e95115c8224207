"""Which blocks may only stay for a while, and that this outlives the server."""

from pathlib import Path

import pytest

from warmturn_server.kvcache import BlockKey, PassingBlocks


def key(number: int) -> BlockKey:
    return BlockKey(bytes([number]) * 32)


ONE, TWO, THREE = key(1), key(2), key(3)


class Time:
    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Time:
    return Time()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kv" / "passing"


def test_what_is_new_passes_and_what_was_there_stays(path: Path, now: Time) -> None:
    passing = PassingBlocks(10, path, now)
    passing.saved([ONE, TWO], {TWO}, lasting=False)
    now.seconds += 9
    assert passing.due() == []
    now.seconds += 1
    assert passing.due() == [TWO]


def test_every_use_puts_it_off(path: Path, now: Time) -> None:
    passing = PassingBlocks(10, path, now)
    passing.saved([ONE], {ONE}, lasting=False)
    now.seconds += 9
    passing.saved([ONE, TWO], {TWO}, lasting=False)
    now.seconds += 9
    assert passing.due() == []
    now.seconds += 1
    assert set(passing.due()) == {ONE, TWO}


def test_a_shorter_while_ends_no_longer_one(path: Path, now: Time) -> None:
    passing = PassingBlocks(10, path, now)
    passing.saved([ONE], {ONE}, lasting=False)
    passing.saved([ONE, TWO], {TWO}, lasting=False, ttl_seconds=5)
    now.seconds += 9
    assert passing.due() == [TWO]
    assert PassingBlocks(10, path, now).due() == [TWO]


def test_what_becomes_part_of_something_lasting_stays(path: Path, now: Time) -> None:
    passing = PassingBlocks(10, path, now)
    passing.saved([ONE, TWO], {ONE, TWO}, lasting=False)
    now.seconds += 11
    due = passing.due()
    passing.saved([ONE, THREE], {THREE}, lasting=True)
    assert passing.still_due(due) == [TWO]
    passing.saved([ONE], set(), lasting=False)
    now.seconds += 11
    assert passing.due() == [TWO]


def test_a_server_that_comes_after_a_kill_knows_them(path: Path, now: Time) -> None:
    passing = PassingBlocks(10, path, now)
    passing.saved([ONE, TWO, THREE], {ONE, TWO, THREE}, lasting=False)
    passing.saved([ONE], set(), lasting=True)
    passing.removed([TWO])
    with path.open("ab") as file:
        file.write(b"cut off")
    for _ in range(2):
        later = PassingBlocks(10, path, now)
        now.seconds += 11
        assert later.due() == [THREE]
    later.saved([TWO], {TWO}, lasting=False)
    assert path.stat().st_size == 2 * 40 and path.stat().st_mode & 0o077 == 0


def test_its_file_is_written_anew_before_it_grows_without_end(path: Path, now: Time) -> None:
    passing = PassingBlocks(10, path, now)
    for _ in range(12_000):
        passing.saved([ONE], {ONE}, lasting=False)
    assert path.stat().st_size < 11_000 * 40
    assert PassingBlocks(0, path, now).due() == [] and PassingBlocks(0, path, lambda: 2e9).due() == [ONE]
