"""The server that a demo or a load test has for itself: it ends with whoever started it, and is told nothing else."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from warmturn import WarmturnError
from warmturn.own_server import OwnServer

STRUCK = """
import signal, subprocess, sys
from pathlib import Path
from warmturn import own_server
from warmturn.cli.signals import ending_on_signals

def launch(command, environment, stderr):
    made = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(made.pid, flush=True)
    signal.raise_signal({number})
    return made

own_server.launch = launch
with ending_on_signals(), own_server.OwnServer("none", Path({folder!r})) as server:
    try:
        server.start()
    finally:
        print(server._process is not None)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_that_is_just_being_made_when_a_signal_comes_is_ended_too(tmp_path: Path, number: signal.Signals) -> None:
    code = STRUCK.format(number=int(number), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    pid, is_known = done.stdout.split()
    assert is_known == "True"
    assert done.returncode == (-number if number == signal.SIGINT else 128 + number), done.stderr
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.slow
def test_one_that_does_not_start_is_explained(tmp_path: Path) -> None:
    with OwnServer(str(tmp_path / "no-model"), tmp_path) as server, pytest.raises(WarmturnError, match="no-model"):
        server.start()


def test_it_takes_no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WARMTURN_API_KEY", "x")
    probe = "import os; print('ready on http://' + str([n for n in os.environ if n.startswith('WARMTURN_')]) + ':1')"
    with OwnServer("none", tmp_path) as server:
        monkeypatch.setattr(
            server, "_command", lambda: [sys.executable, "-c", probe + "; print('ready on http://x:1')"]
        )
        server.start()
        assert server.url == "http://[]:1"
