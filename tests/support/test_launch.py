"""A forked server is as good as a fresh one: nothing of the process it comes from is left in it."""

import re
import signal
from pathlib import Path

import pytest
from tests.conftest import StartServer
from tests.support.launch import forked, fresh

SIGNALS = re.compile(r"^(SigBlk|SigIgn|SigCgt):\s+(\w+)$", re.MULTILINE)


def signals(pid: int) -> dict[str, str]:
    """Which ones are blocked, ignored and handled."""
    return dict(SIGNALS.findall(Path(f"/proc/{pid}/status").read_text()))


def open_files(pid: int, home: Path) -> list[tuple[int, str]]:
    """By number; sockets and pipes without what tells them apart."""
    links = ((int(link.name), str(link.readlink())) for link in Path(f"/proc/{pid}/fd").iterdir())
    return sorted((number, re.sub(r"\d+", "", target.replace(str(home), ""))) for number, target in links)


@pytest.mark.slow
def test_it_has_the_same_files_open_and_treats_signals_alike(start_server: StartServer, tmp_path: Path) -> None:
    homes = {launch: tmp_path / launch.__name__ for launch in (fresh, forked)}
    one, other = (start_server(data_dir=home / "data", launch=launch) for launch, home in homes.items())
    assert signals(one.pid) == signals(other.pid)
    assert open_files(one.pid, homes[fresh]) == open_files(other.pid, homes[forked])


@pytest.mark.usefixtures("shared_server")
def test_whoever_asks_for_a_server_is_slow(request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("slow")


def test_it_ends_as_it_is_told(start_server: StartServer) -> None:
    server = start_server()
    assert server.terminate() == 0
    for number, status in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        assert server.start()._end(number, timeout_seconds=30) == status
    assert not server.running
    assert server.terminate() == -signal.SIGKILL, "it has ended for good"


def test_servers_run_beside_each_other_and_end_apart(start_server: StartServer, tmp_path: Path) -> None:
    one, other = (start_server(data_dir=tmp_path / name / "data") for name in ("one", "other"))
    one.kill()
    assert (one.running, other.running) == (False, True)
    assert other.client().get("/ready").status_code == 200
