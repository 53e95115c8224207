"""The `warmturn` command as its users run it: a process with its own settings."""

import os
import sys
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
        done = run(arguments, environment(self.home, **{"WARMTURN_URL": self.url, **variables}), stdin, timeout)
        return Done(done.returncode, done.stdout, done.stderr)


class Done:
    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        self.code, self.stdout, self.stderr = code, stdout, stderr
        assert "Traceback" not in stderr, stderr

    def ok(self) -> str:
        """What it printed, if it went well."""
        assert self.code == 0, self.stderr
        return self.stdout
