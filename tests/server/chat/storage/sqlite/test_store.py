"""What is particular to the SQLite store."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from tests.server.chat.making import append, conversation, turn

from warmturn_server.chat import ConversationId, SqliteStore, StoreFailed, TurnId
from warmturn_server.chat.storage.sqlite.schema import connect
from warmturn_server.errors import StartRefused


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "log.sqlite3"


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StartRefused, match=r"newer version of Warmturn.*--data-dir"):
        SqliteStore(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(StartRefused, match="cannot be opened"):
        SqliteStore(path)


def test_only_the_owner_may_read_it(path: Path) -> None:
    SqliteStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_commits_reach_the_disk_before_anybody_is_told(path: Path) -> None:
    store = SqliteStore(path)
    database = store._connection.database
    assert database.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert database.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    store.close()


def test_a_log_that_cannot_be_written_says_so_and_keeps_what_it_had(path: Path) -> None:
    store = SqliteStore(path)
    store.append(append(turn("a")))
    store._connection.database.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreFailed, match="Nothing was changed") as failure:
        store.append(append(turn("b")))
    assert failure.value.status == 503
    store._connection.database.execute("PRAGMA query_only = OFF")
    assert store.turn("", TurnId("b")) is None
    store.append(append(turn("b")))
    assert store.turn("", TurnId("b")) is not None
    store.close()


def test_what_a_reader_keeps_from_going_goes_with_the_next_change(path: Path) -> None:
    """As a backup does that is being made when something is deleted."""
    store = SqliteStore(path)
    store.create(conversation("conv_1"), append(turn("a", conversation="conv_1", said=("Mirabelle", "ok"))))

    def is_left() -> bool:
        return any(b"Mirabelle" in found.read_bytes() for found in path.parent.iterdir())

    with closing(connect(path, read_only=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM turn").fetchone()
        store.delete_conversation("", ConversationId("conv_1"))
        assert is_left()
    store.create(conversation("conv_2"))
    assert not is_left()
    store.close()
