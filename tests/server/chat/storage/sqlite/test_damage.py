"""A damaged log never says something else than what was written, and never loses anything in silence."""

import logging
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.server.chat.making import append, turn
from tests.server.chat.storage.asking import TALKS, TURNS, WORD, answers, talk

from warmturn_server.chat import ConversationId, Page, SqliteStore, StoreCorrupt, StoreFailed, TurnId
from warmturn_server.chat.storage.sqlite.rows import turn_row
from warmturn_server.chat.storage.sqlite.seal import RowSeal
from warmturn_server.errors import StartRefused

FLIPS = 150


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "log.sqlite3"
    store = SqliteStore(path)
    for number in range(TALKS):
        talk(store, f"conv_{number}")
    store.close()
    return path


@pytest.fixture
def path(pristine: Path, tmp_path: Path) -> Path:
    """A copy of a log that was closed: all of it is in the one file."""
    shutil.copy(pristine, tmp_path / "log.sqlite3")
    return tmp_path / "log.sqlite3"


@contextmanager
def opened(path: Path, secret: bytes = b"") -> Iterator[SqliteStore]:
    store = SqliteStore(path, secret)
    try:
        yield store
    finally:
        store.close()


def flipped(content: bytes, bit: int) -> bytes:
    return content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :]


@pytest.mark.slow
def test_a_flipped_bit_anywhere_changes_no_answer(
    pristine: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, draw = pristine.read_bytes(), random.Random(20)
    with opened(pristine) as store:
        sound = answers(store)
    noticed = refused = 0
    for number in range(FLIPS):
        bit = draw.randrange(len(content) * 8)
        path = tmp_path / str(number) / "log.sqlite3"
        path.parent.mkdir()
        path.write_bytes(flipped(content, bit))
        try:
            with opened(path) as store:
                given = answers(store)
                listed = [found for found in store.conversations("", Page(limit=100)) if f"{found.id}" not in sound]
        except StartRefused:
            refused += 1
            continue
        except StoreCorrupt:  # the list
            noticed += 1
            continue
        assert given == {name: sound[name] for name in given}, f"bit {bit}"
        assert not listed
        noticed += len(given) < len(sound)
    assert noticed > FLIPS / 10 and refused < FLIPS / 10, "most of the file is rows"
    assert WORD not in caplog.text


def test_damaged_words_concern_their_own_turns_only(path: Path) -> None:
    content = path.read_bytes()
    place = content.index(f"{WORD} 2?".encode())
    path.write_bytes(flipped(content, place * 8 + 3))
    with opened(path) as store:
        given = answers(store)
        damaged = {f"conv_{number}" for number in range(TALKS) if f"all of conv_{number}" not in given}
        assert len(damaged) == 1
        name = damaged.pop()
        with pytest.raises(StoreCorrupt, match=f"The turn of '{name}-2' in the conversation log is damaged"):
            store.turns("", TurnId(f"{name}-3"))
        assert {f"{name}-0", f"{name}-3", name} <= given.keys()
        assert len(store.conversations("", Page(limit=100))) == TALKS
        store.delete_conversation("", ConversationId(name))
        assert store.conversation("", ConversationId(name)) is None


def test_a_damaged_conversation_is_left_out_of_a_list(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(f"{WORD} of conv_1".encode(), f"{WORD} of conv_x".encode()))
    with opened(path) as store:
        with caplog.at_level(logging.ERROR):
            assert len(store.conversations("", Page(limit=100))) == TALKS - 1
        assert "The conversation of 'row 2'" in caplog.text and WORD not in caplog.text
        with pytest.raises(StoreCorrupt):
            store.conversation("", ConversationId("conv_1"))


class TestWhatWasAcknowledgedAndIsNotThere:
    @pytest.fixture
    def killed(self, pristine: Path, tmp_path: Path) -> Path:
        """A copy made while the server ran: what was written last is in the -wal file alone."""
        shutil.copy(pristine, tmp_path / "live.sqlite3")
        with opened(tmp_path / "live.sqlite3") as store:
            for number in range(5):
                talk(store, f"late_{number}")
            folder = tmp_path / "killed"
            folder.mkdir()
            for found in tmp_path.glob("live.sqlite3*"):
                shutil.copy(found, folder / found.name)
        return folder / "live.sqlite3"

    def test_nothing_is_refused_that_is_whole(self, killed: Path) -> None:
        with opened(killed) as store:
            assert store.turn("", TurnId(f"late_4-{TURNS - 1}"))

    @pytest.mark.parametrize("place", [100, 0.5, -2000])
    def test_a_damaged_wal_is_refused_and_left_alone(self, killed: Path, place: float) -> None:
        wal = killed.with_name(killed.name + "-wal")
        content = wal.read_bytes()
        at = int(place * len(content)) if isinstance(place, float) else place % len(content)
        wal.write_bytes(flipped(content, at * 8))
        with pytest.raises(StartRefused, match=r"changes that were acknowledged are not in .*-count"):
            SqliteStore(killed)
        assert wal.read_bytes() == flipped(content, at * 8)
        wal.write_bytes(content)
        with opened(killed) as store:
            assert store.turn("", TurnId(f"late_4-{TURNS - 1}"))

    def test_a_removed_wal_is_refused_until_somebody_says_to_go_on(self, killed: Path) -> None:
        killed.with_name(killed.name + "-wal").unlink()
        with pytest.raises(StartRefused, match="24 changes that were acknowledged"):
            SqliteStore(killed)
        killed.with_name(killed.name + "-count").unlink()
        with opened(killed) as store:
            assert store.turn("", TurnId(f"conv_0-{TURNS - 1}"))

    def test_a_removed_file_is_not_simply_begun_anew(self, killed: Path) -> None:
        for suffix in ("", "-wal", "-shm"):
            killed.with_name(killed.name + suffix).unlink()
        with pytest.raises(StartRefused, match="all changes that were acknowledged"):
            SqliteStore(killed)
        assert not killed.exists()


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_nothing_is_acknowledged_into_a_file_that_is_gone(path: Path, suffix: str) -> None:
    with opened(path) as store:
        talk(store, "before")
        gone, aside = path.with_name(path.name + suffix), path.with_name("aside")
        gone.rename(aside)
        for is_replaced in (False, True):
            if is_replaced:
                shutil.copy(aside, gone)
            status = store.status()
            assert not status.reachable and f"{gone.name} of the conversation log was removed or replaced" in status.why
            with pytest.raises(StoreFailed, match="removed or replaced"):
                store.append(append(turn("lost")))
        aside.replace(gone)
        assert store.status().reachable
        store.append(append(turn("kept")))
        assert store.turn("", TurnId("kept")) and not store.turn("", TurnId("lost"))


class TestSecret:
    def test_who_can_write_the_file_can_make_it_say_nothing_else(self, path: Path) -> None:
        with opened(path, b"ours") as store:
            made = store.turn("", TurnId("conv_0-0"))
        assert made
        forged = turn_row(replace(made, output=(turn("x", said=("", "I never said that")).output)), recorded=True)
        with sqlite3.connect(path) as database:
            row = RowSeal().sealed("turn", forged)
            database.execute("UPDATE turn SET output = :output, mac = :mac WHERE id = :id", row)
        with opened(path, b"ours") as store:
            with pytest.raises(StoreCorrupt):
                store.turn("", made.id)
            assert store.turn("", TurnId("conv_0-1"))

    def test_a_log_without_one_takes_one_on(self, path: Path) -> None:
        with opened(path) as store:
            sound = answers(store)
        for _ in range(2):
            with opened(path, b"ours") as store:
                assert answers(store) == sound
        assert not list(path.parent.glob("*-new*"))

    @pytest.mark.parametrize("other", [b"", b"theirs"])
    def test_another_one_is_refused(self, path: Path, other: bytes) -> None:
        with opened(path, b"ours"):
            pass
        with pytest.raises(StartRefused, match="another secret"):
            SqliteStore(path, other)

    def test_damage_is_not_signed_over(self, path: Path) -> None:
        path.write_bytes(path.read_bytes().replace(f"{WORD} 2?".encode(), f"{WORD} 9?".encode()))
        with pytest.raises(StartRefused, match="Row 3 of table turn"):
            SqliteStore(path, b"ours")


@pytest.mark.timeout(20, method="thread")  # a search without end is in SQLite, where no signal is heard
@pytest.mark.parametrize(("table", "column"), [("record", "base"), ("turn", "parent")])
def test_a_row_that_leads_back_to_itself_is_told_and_can_be_deleted(path: Path, table: str, column: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE {table} SET {column} = id WHERE id = 'conv_1-2'")
    database.close()
    with opened(path) as store:
        with pytest.raises(StoreCorrupt):
            store.open_conversation("", ConversationId("conv_1"))
        store.delete_conversation("", ConversationId("conv_1"))
        assert store.conversation("", ConversationId("conv_1")) is None


def rename(path: Path, column: bytes) -> None:
    """In the definition of its table, to something that is no text."""
    content = path.read_bytes()
    at = content.index(column)
    path.write_bytes(content[:at] + b"\xf7" + content[at + 1 :])


def test_a_column_whose_name_is_no_text_is_told_when_it_is_read(path: Path) -> None:
    rename(path, b"hidden TEXT")
    with opened(path) as store, pytest.raises(StoreCorrupt):
        store.conversation("", ConversationId("conv_1"))


def test_and_refuses_the_start_where_that_reads_it(path: Path) -> None:
    rename(path, b"changes INTEGER")
    with pytest.raises(StartRefused, match="cannot be opened"):
        SqliteStore(path)
