"""`warmturn export --with-state` and `import`, on a real server: through broken connections, and what they refuse."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.client.command import Command
from tests.conftest import StartServer
from tests.support.balancer import Balancer
from tests.support.conversation_files import head_bytes
from tests.support.fault_proxy import FaultProxy
from tests.support.server import ServerProcess
from tests.support.talk import Talk, checked

from warmturn import ApiError, Client, FileError, ProtocolError

SECRET = {"WARMTURN_LOG_SECRET": "of this server"}


@pytest.fixture
def server(start_server: StartServer) -> ServerProcess:
    return start_server("--block-size", "8", environment=SECRET)


@pytest.fixture
def talk(server: ServerProcess) -> Iterator[Talk]:
    with server.client() as client:
        talk = Talk.begin(client)
        for text in ("My cat is called Mirelo.", "And what does she like?"):
            talk.say(text)
        yield talk


def test_there_and_back(server: ServerProcess, talk: Talk, tmp_path: Path) -> None:
    command, file = Command(tmp_path, server.base_url), tmp_path / "talk.warmturn"
    assert command("export", talk.id, "--with-state", str(file)).ok() == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("talk*")] == ["talk.warmturn"]
    talk.client.delete(f"/v1/conversations/{talk.id}")
    done = command("import", str(file))
    moved = Talk(talk.client, done.ok().strip())
    assert moved.id != talk.id
    assert len(moved.texts()) == 4
    assert "came along" in done.stderr
    assert moved.say("Go on.").cached > 30
    kept = json.loads(command("import", str(file), "--keep-id", "--json").ok())
    assert (kept["conversation"], kept["trust"], kept["why"]) == (talk.id, "signed", None)
    assert kept["taken_tokens"] == kept["state_tokens"] > 0
    there = command("export", talk.id, "--with-state", str(file))
    assert (there.code, "--force" in there.stderr) == (1, True)
    assert command("export", talk.id, "--with-state", "x", "-o", "y").code == 2
    _refuses(server, talk, file, tmp_path)


def _refuses(server: ServerProcess, talk: Talk, file: Path, folder: Path) -> None:
    content, bad = file.read_bytes(), folder / "bad"
    before = checked(talk.client.get("/v1/conversations"))["data"]
    with Client(server.base_url) as client:
        for damaged in (
            b"",
            b"hello",
            content[:15],
            content[:40],
            content[:900],
            content[:10] + b"\xff" * 4 + content[14:],
        ):
            bad.write_bytes(damaged)
            with pytest.raises((FileError, ApiError)):
                client.conversations.load_file(bad)
        with pytest.raises(ApiError, match="not overwritten"):
            client.conversations.load_file(file, keep_id=True)
        with pytest.raises(FileError):
            client.conversations.load_file(folder / "missing")
        with pytest.raises(FileError):
            client.conversations.save_file(talk.id, folder / "no" / "such")
        client.conversations.save_file(talk.id, bad, force=True)
    assert len(bad.read_bytes()) == len(content)
    assert stat.S_IMODE(bad.stat().st_mode) == 0o600
    assert checked(talk.client.get("/v1/conversations"))["data"] == before


def test_broken_connections_are_gone_on_from(server: ServerProcess, talk: Talk, tmp_path: Path) -> None:
    """Each download is cut in its middle, an import in the middle of its parts."""
    file, whole = tmp_path / "talk.warmturn", tmp_path / "whole.warmturn"
    Command(tmp_path, server.base_url)("export", talk.id, "--with-state", str(whole)).ok()
    with FaultProxy(int(server.base_url.rpartition(":")[2])) as proxy:
        command = Command(tmp_path, f"http://127.0.0.1:{proxy.port}")
        proxy.cut_after(whole.stat().st_size // 2)
        command("export", talk.id, "--with-state", str(file)).ok()
        assert proxy.replied_bytes < 1.5 * whole.stat().st_size, "it did not begin anew"
        assert file.read_bytes() == whole.read_bytes()
        talk.client.delete(f"/v1/conversations/{talk.id}")
        proxy.cut_after(6_000)
        done = command("import", str(file), "--json")
        imported = json.loads(done.ok())
        assert imported["taken_tokens"] == imported["state_tokens"] > 0
    assert len(Talk(talk.client, imported["conversation"]).texts()) == 4
    assert len(checked(talk.client.get("/v1/conversations"))["data"]) == 1


def test_a_download_that_does_not_come_leaves_no_file(server: ServerProcess, talk: Talk, tmp_path: Path) -> None:
    with FaultProxy(int(server.base_url.rpartition(":")[2])) as proxy:
        proxy.cut_after(2_000)
        command = Command(tmp_path, f"http://127.0.0.1:{proxy.port}")
        file = tmp_path / "talk.warmturn"
        server.kill()
        assert command("export", talk.id, "--with-state", str(file)).code == 3
    assert list(tmp_path.glob("talk*")) == []


def test_a_server_that_was_killed_in_the_middle_has_nothing_half_done(
    server: ServerProcess, talk: Talk, tmp_path: Path
) -> None:
    """It is asked anew, and goes on."""
    file = talk.client.get(f"/v1/conversations/{talk.id}/file").content
    talk.client.delete(f"/v1/conversations/{talk.id}")
    (tmp_path / "talk.warmturn").write_bytes(file)
    head = head_bytes(file)
    begun = checked(talk.client.post("/v1/imports", content=file[:head]))
    for part in begun["wanted"]:
        content = file[part["offset"] : part["offset"] + part["bytes"]]
        checked(talk.client.post(f"/v1/imports/{begun['id']}/parts/{part['number']}", content=content))
    server.kill()
    server.start()
    with server.client() as client:
        assert checked(client.get("/v1/conversations"))["data"] == []
        assert client.get(f"/v1/imports/{begun['id']}").status_code == 404
    imported = json.loads(Command(tmp_path, server.base_url)("import", str(tmp_path / "talk.warmturn"), "--json").ok())
    assert imported["taken_tokens"] == imported["state_tokens"]


def test_behind_a_balancer_all_of_an_import_goes_to_one_server(
    server: ServerProcess, talk: Talk, start_server: StartServer, tmp_path: Path
) -> None:
    file = tmp_path / "talk.warmturn"
    Command(tmp_path, server.base_url)("export", talk.id, "--with-state", str(file)).ok()
    other = start_server("--block-size", "8", data_dir=tmp_path / "other", environment=SECRET)
    with Balancer([server.base_url, other.base_url], tmp_path) as balancer:
        done = Command(tmp_path, balancer.base_url)("import", str(file), "--json")
    imported = json.loads(done.ok())
    assert imported["taken_tokens"] == imported["state_tokens"] > 0


def test_a_download_whose_length_nobody_says_is_no_file(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.headers["x-session-id"] == "conv_1"
        return httpx.Response(200, content=iter([b"WARMTURN"]))

    client, file = Client("http://test", transport=httpx.MockTransport(answer)), tmp_path / "talk.warmturn"
    with pytest.raises(ProtocolError, match="content-length"):
        client.conversations.save_file("conv_1", file)
    assert list(tmp_path.glob("talk*")) == []
