"""Whoever can read a server's files reads what was said: they are for their owner alone, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.client.command import Command
from tests.conftest import StartServer
from tests.support.launch import fresh
from tests.support.talk import Talk
from tests.support.waiting import wait_until

from warmturn.settings import history_file
from warmturn_server.data_dir import lock_data_dir


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    modes = {str(path): stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}
    return {name: oct(mode) for name, mode in modes.items() if mode & 0o077}


@pytest.mark.slow
def test_a_server_and_a_backup_of_it(start_server: StartServer, tmp_path: Path) -> None:
    data_dir, copy = tmp_path / "new" / "data", tmp_path / "copy"
    with umask(0):
        server = start_server("--block-size", "8", data_dir=data_dir, launch=fresh)
    with server.client() as client:
        Talk.begin(client).say("Remember this, and tell nobody.")
        wait_until(lambda: list(data_dir.rglob("kv/*/*/*")), "no block was written")
    names = {path.name for path in data_dir.iterdir()}
    assert {"conversations.sqlite3", "conversations.sqlite3-wal", "conversations.sqlite3-shm", "kv"} <= names
    assert open_to_others(data_dir) == {}
    Command(tmp_path)("backup", str(copy), "--data-dir", str(data_dir), "--state").ok()
    assert list(copy.rglob("kv/*/*/*"))
    assert open_to_others(copy) == {}


def test_what_lay_open_is_closed_where_it_is_a_servers(tmp_path: Path) -> None:
    ours, shared = tmp_path / "ours", tmp_path / "shared"
    with umask(0):
        for folder in (ours, shared):
            (folder / "kv").mkdir(parents=True)
            (folder / "conversations.sqlite3").touch()
        (shared / "letter.txt").touch()
    for folder in (ours, shared):
        lock_data_dir(folder).close()
    assert open_to_others(ours) == {}
    assert set(open_to_others(shared)) == {str(shared), str(shared / "letter.txt")}


def test_what_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with umask(0):
        history = history_file()
    assert history.parent.parent == tmp_path
    assert open_to_others(history.parent) == {}
    assert history.exists()
