"""The `warmturn` command as its users run it: a process with its own settings."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.launch import run

WARMTURN = (sys.executable, "-m", "warmturn")


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Nothing of the developer's own settings, folders or terminal."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WARMTURN_", "XDG_"))}
    own = {"HOME": str(home), "HF_HUB_OFFLINE": "1", "TERM": "xterm", "COLUMNS": "120"}
    return {**kept, **own, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", **variables}


class Command:
    """`command("ls", "--json")` runs it against the server at `url` and gives what came out.

    In a fork of a process that has loaded what it needs of others; `WARMTURN` is for who wants it fresh.
    """

    def __init__(self, home: Path, url: str = "http://127.0.0.1:9") -> None:
        self.home = home
        self.url = url

    def __call__(self, *arguments: str, stdin: str = "", timeout: float = 60, **variables: str) -> "Done":
        home = environment(self.home, **{"WARMTURN_URL": self.url, **variables})
        started = _run_fresh if any(name.startswith("PYTHON") for name in variables) else run
        done = started(arguments, home, stdin, timeout)
        return Done(done.returncode, done.stdout, done.stderr)


def _run_fresh(
    arguments: Sequence[str], environment: Mapping[str, str], stdin: str, timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """For what Python itself reads when it starts."""
    return subprocess.run(
        [*WARMTURN, *arguments], input=stdin, capture_output=True, text=True, timeout=timeout_seconds, env=environment
    )


class Done:
    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code, self.stdout, self.stderr = code, stdout, stderr
        assert "Traceback" not in stderr, stderr

    def ok(self) -> str:
        """What it printed, if it went well."""
        assert self.code == 0, self.stderr
        return self.stdout
