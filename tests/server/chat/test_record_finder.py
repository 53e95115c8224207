"""Which of many records goes on longest as a text does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.server.chat.making import VOCABULARY, findable, record

from warmturn_server.chat import SqliteStore
from warmturn_server.chat.record_finder import RecordFinder
from warmturn_server.chat.transcript.control_names import Written
from warmturn_server.chat.transcript.prefix_digests import CHUNK_CHARS

LONG = "who knows how the others know? " * 3
assert CHUNK_CHARS < len(LONG) < 2 * CHUNK_CHARS - 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path / "log.sqlite3")
    yield store
    store.close()


def found(store: SqliteStore, text: str) -> str | None:
    base = RecordFinder(store, VOCABULARY).of_text("", Written(text))
    assert base.record.text[:1] == text[:1] or base.turn_id is None
    return base.turn_id


def test_nothing_where_nothing_is_known(store: SqliteStore) -> None:
    assert found(store, LONG) is None


def test_a_child_that_is_too_short_for_a_beginning_of_its_own(store: SqliteStore) -> None:
    store.append(findable(record("a", LONG)))
    store.append(findable(record("b", "here", base="a", kept=len(LONG)), LONG + "here"))
    store.append(findable(record("c", "there", base="b", kept=len(LONG) + 4), LONG + "herethere"))
    assert found(store, LONG + "herethere and on") == "c"
    assert found(store, LONG + "herethe") == "c"
    assert found(store, LONG) == "a"


def test_the_sibling_that_goes_on_alike(store: SqliteStore) -> None:
    store.append(findable(record("a", LONG)))
    for name, text in (("b", "here"), ("c", "there"), ("d", "where")):
        store.append(findable(record(name, text, base="a", kept=len(LONG)), LONG + text))
    assert found(store, LONG + "there is more") == "c"


def test_a_text_shorter_than_any_beginning(store: SqliteStore) -> None:
    store.append(findable(record("a", "short")))
    store.append(findable(record("b", "other")))
    assert found(store, "shorter still") == "a"


def test_ids_of_another_tokenizer_are_not_found(store: SqliteStore) -> None:
    store.append(findable(record("a", LONG)))
    assert RecordFinder(store, "tokenizer-2").of_text("", Written(LONG)).turn_id is None
