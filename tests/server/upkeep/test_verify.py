"""`warmturn verify` and `warmturn backup` on data folders of real servers, running and not."""

import json
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.command import Command, Done
from tests.conftest import StartServer
from tests.support.models import TinyModels
from tests.support.server import ServerProcess
from tests.support.talk import Talk, checked
from tests.support.waiting import wait_until

WORD = "Mirabelle"
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tiny_models(), tmp_path_factory.mktemp("upkeep") / "data", "--block-size", "8") as server:
        with server.client() as client:
            for number in range(3):
                talk = Talk.begin(client)
                talk.say(f"{WORD} {number}.", max_output_tokens=4)
                talk.say("Go on.", max_output_tokens=4)
            wait_until(lambda: len(blocks(server.data_dir)) > 5, "no state was saved")
        yield server


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
def copy(server: ServerProcess, tmp_path: Path, command: Command) -> Path:
    command("backup", str(tmp_path / "copy"), "--state", "--data-dir", str(server.data_dir)).ok()
    return tmp_path / "copy"


def blocks(data_dir: Path) -> list[Path]:
    return sorted(data_dir.rglob("*.kv"))


def verified(command: Command, data_dir: Path, *options: str) -> tuple[int, dict[str, Any], Done]:
    done = command("verify", "--json", "--data-dir", str(data_dir), *options)
    assert WORD not in done.stdout + done.stderr
    return done.code, json.loads(done.stdout), done


def change(data_dir: Path, statement: str) -> None:
    with sqlite3.connect(data_dir / "conversations.sqlite3") as database:
        database.execute(statement)


def test_a_sound_folder_is_said_to_be_sound_beside_its_server(server: ServerProcess, command: Command) -> None:
    status, found, _ = verified(command, server.data_dir)
    assert (status, found["sound"], found["in_use"]) == (0, True, True)
    assert found["log"]["rows"] == {"conversation": 3, "turn": 6, "record": 6}
    assert found["state"]["blocks"] == len(blocks(server.data_dir)) and found["state"]["models"] == 1
    told = command("verify", WARMTURN_DATA_DIR=str(server.data_dir)).ok()
    assert "3 conversations, 6 turns, 6 records" in told and told.strip().endswith("sound")


def test_a_copy_can_be_served(copy: Path, start_server: StartServer, server: ServerProcess) -> None:
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in [copy, copy / "conversations.sqlite3"])
    other = start_server("--block-size", "8", data_dir=copy)
    with server.client() as ours, other.client() as theirs:
        name = checked(theirs.get("/v1/conversations"))["data"][0]["id"]
        assert Talk(theirs, name).texts() == Talk(ours, name).texts()
        forks = [Talk(client, name).fork() for client in (ours, theirs)]
        said = [fork.say("And now?") for fork in forks]
        checked(ours.delete(f"/v1/conversations/{forks[0].id}"))
    assert said[0].token_ids == said[1].token_ids
    assert said[1].report["cached_by_tier"]["disk"] > 0


def test_a_copy_is_of_one_moment_while_turns_go_on(server: ServerProcess, tmp_path: Path, command: Command) -> None:
    with server.client() as client:
        talk = Talk.begin(client)
        for number in range(3):
            talk.say(f"{number}.", max_output_tokens=2)
            command("backup", str(tmp_path / str(number)), "--data-dir", str(server.data_dir)).ok()
        for number in range(3):
            with sqlite3.connect(tmp_path / str(number) / "conversations.sqlite3") as database:
                own = database.execute("SELECT count(*) FROM turn WHERE conversation = ?", (talk.id,))
                assert own.fetchone() == (number + 1,)
        checked(client.delete(f"/v1/conversations/{talk.id}"))


def test_nothing_is_copied_over(copy: Path, server: ServerProcess, command: Command, tmp_path: Path) -> None:
    for where, why in ((server.data_dir, "is not empty"), (tmp_path / "none", "no conversation log")):
        done = command("backup", str(copy), "--data-dir", str(where))
        assert done.code == 1 and why in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("statement", "damaged", "unreadable"),
    [
        (f"UPDATE turn SET input = replace(input, '{WORD} 1', '{WORD} 9')", "turn resp_", 1),
        (f"UPDATE record SET text = replace(text, '{WORD} 1', '{WORD} 9')", "record resp_", 1),
        ("UPDATE conversation SET metadata = '{}', mac = x'00' WHERE seq = 2", "conversation conv_", 1),
        (f"UPDATE conversation SET id = '{WORD}' WHERE seq = 2", "conversation in row 2", 1),
        ("DELETE FROM turn WHERE parent IS NULL AND seq > 1", None, 2),
        ("UPDATE about SET changes = 0", "about in row 1", 0),
    ],
)
def test_damaged_rows_are_named(
    copy: Path, command: Command, statement: str, damaged: str | None, unreadable: int
) -> None:
    change(copy, statement)
    status, found, _ = verified(command, copy)
    assert (status, found["sound"], found["in_use"]) == (1, False, False)
    assert [name.startswith(damaged) for name in found["log"]["damaged"]] == ([True] if damaged else [])
    assert len(found["log"]["unreadable"]) == unreadable
    told = command("verify", "--data-dir", str(copy))
    assert told.code == 1 and told.stdout.strip().endswith("DAMAGED")
    assert (f"{3 - unreadable} conversations can be read whole" in told.stdout) == (unreadable > 0)


def test_lost_changes_a_lost_file_and_no_database_are_told(copy: Path, command: Command) -> None:
    log = copy / "conversations.sqlite3"
    count = copy / "conversations.sqlite3-count"
    with sqlite3.connect(log) as database:
        name, changes = database.execute("SELECT id, changes FROM about").fetchone()
    count.write_text(f"{name} {changes + 7}\n")
    assert verified(command, copy)[1]["log"]["lost_changes"] == 7
    log.write_bytes(b"not a database at all" * 100)
    assert "cannot be read" in verified(command, copy)[1]["log"]["damaged"][0]
    log.unlink()
    assert verified(command, copy)[0] == 1
    count.unlink()
    for leftover in copy.glob("conversations.sqlite3*"):
        leftover.unlink()
    status, found, _ = verified(command, copy)
    assert (status, found["log"]) == (0, None)


def test_damaged_state_is_counted_and_dropped_when_that_is_asked_for(copy: Path, command: Command) -> None:
    first, second, third, *_ = blocks(copy)
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 1
    first.write_bytes(content)
    second.write_bytes(third.read_bytes())
    status, found, _ = verified(command, copy)
    assert (status, found["sound"], found["log"]["damaged"]) == (1, False, [])
    assert set(found["state"]["damaged"]) == {first.name, second.name} and found["state"]["dropped"] == 0
    status, found, _ = verified(command, copy, "--drop")
    assert found["state"]["dropped"] == 2
    assert verified(command, copy)[0] == 0


def test_an_older_folder_is_looked_through_as_far_as_it_can_be(tmp_path: Path, command: Command) -> None:
    dump = HERE.parent / "chat" / "storage" / "sqlite" / "schema_1.sql"
    with sqlite3.connect(tmp_path / "conversations.sqlite3") as database:
        database.executescript(dump.read_text())
    status, found, _ = verified(command, tmp_path)
    assert (status, found["log"]["schema"], found["log"]["rows"]["conversation"]) == (0, 1, 3)


def test_a_folder_that_is_not_there_is_said_to_be_so(tmp_path: Path, command: Command) -> None:
    done = command("verify", "--data-dir", str(tmp_path / "none"))
    assert done.code == 1 and "there is no folder" in done.stderr
