"""A data folder that version 0.1.0 wrote (schema 1): it is brought up to date, and its conversations go on.

`schema_1.sql` is the dump of one after real turns of a tiny model: two conversations with the same first message, one
of them with a deleted item; a deleted conversation and one with the same first message; a chain of responses; turns
that were not to be stored. `schema_1.json` holds what that version said of it, and the ids of each one's next turn.
"""

import json
import sqlite3
from pathlib import Path

import pytest
from tests.conftest import StartServer
from tests.support.talk import Talk, checked, respond

from warmturn_server.chat import ConversationId, SqliteStore, TurnId
from warmturn_server.chat.storage.sqlite.schema import SCHEMA_VERSION
from warmturn_server.errors import StartRefused

HERE = Path(__file__).parent
SAID = json.loads((HERE / "schema_1.json").read_text())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "conversations.sqlite3"
    path.parent.mkdir()
    with sqlite3.connect(path) as database:
        database.executescript((HERE / "schema_1.sql").read_text())
        database.execute("PRAGMA journal_mode = WAL")
    return path


def test_its_conversations_go_on_token_for_token(start_server: StartServer, path: Path) -> None:
    with start_server("--block-size", "8", data_dir=path.parent).client() as client:
        for name in ("cat", "twin", "heir"):
            talk = Talk(client, SAID[name])
            assert talk.texts() == SAID[f"{name}_texts"]
            assert [*talk.say("And now?", max_output_tokens=6).token_ids] == SAID[f"{name}_next"]
        said = respond(client, input="Further.", previous_response_id=SAID["second"], store=True, max_output_tokens=6)
        assert [*said.token_ids] == SAID["second_next"]
        assert client.get(f"/v1/conversations/{SAID['gone']}").status_code == 404
        assert len(checked(client.get("/v1/conversations"))["data"]) == 3


def test_it_is_brought_up_to_date_once_and_whole(path: Path) -> None:
    for _ in range(2):
        store = SqliteStore(path)
        assert store.turn("", TurnId(SAID["second"]))
        kept = store.conversation("", ConversationId(SAID["cat"]))
        assert kept and kept.metadata == {"title": "pets"}
        store.close()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not list(path.parent.glob("*-new*"))


def test_one_that_was_interrupted_begins_again(path: Path) -> None:
    path.with_name(f"{path.name}-new").write_bytes(b"half of it")
    store = SqliteStore(path)
    assert store.turn("", TurnId(SAID["first"]))
    store.close()


@pytest.mark.parametrize("damage", ["UPDATE turn SET input = 'Zwetschge'", "UPDATE turn SET created_at = NULL WHERE 0"])
def test_one_that_is_damaged_is_refused_and_left_alone(path: Path, damage: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute(damage)
        if damage.endswith("0"):
            database.execute("PRAGMA writable_schema = ON")
            database.execute("UPDATE sqlite_schema SET rootpage = 3 WHERE name = 'turn_by_parent'")
    before = path.read_bytes()
    with pytest.raises(StartRefused, match="damaged") as refused:
        SqliteStore(path)
    assert "Zwetschge" not in str(refused.value)
    assert path.read_bytes() == before


def test_what_was_deleted_or_not_to_be_stored_is_left_behind(path: Path) -> None:
    hidden = " 100CYf"
    assert {b"Quitte", b"Mispel", b"Zwetschge"} <= set(found_in(path, b"Quitte", b"Mispel", b"Zwetschge"))
    store = SqliteStore(path)
    twin = store.open_conversation("", ConversationId(SAID["twin"]))
    assert twin and hidden not in {item.text for turn in twin.turns for item in turn.items}
    store.delete_conversation("", ConversationId(SAID["heir"]))
    store.close()
    assert found_in(path, b"Quitte", b"Mispel", b"Zwetschge") == []
    assert found_in(path, hidden.encode()), "another conversation says it too"


def found_in(path: Path, *needles: bytes) -> list[bytes]:
    contents = [found.read_bytes() for found in path.parent.glob(f"{path.name}*")]
    return [needle for needle in needles if any(needle in content for content in contents)]
