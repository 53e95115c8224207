"""Each client in an environment of its own, made from a registry with the versions that are written down, and kept."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parents[1] / ".clients"
_TELLING: Final = HERE / "telling"
_INSTALL_SECONDS: Final = 400
_TALK_SECONDS: Final = 150


class Client:
    """A folder beside this file: `talk.py` and `requirements.txt`, or `talk.mjs`, `package.json` and its lock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = HERE / name
        self.is_python = (self.folder / "talk.py").exists()
        locked = self.folder / ("requirements.txt" if self.is_python else "package-lock.json")
        digest = hashlib.sha256(locked.read_bytes() + sys.version.encode()).hexdigest()
        self.environment = CACHE / f"{name}-{digest[:12]}"

    def talk(self, base_url: str, model: str) -> dict[str, Any]:
        """What it saw of the server, feature by feature."""
        self.install()
        ran = subprocess.run(
            self._talk(),
            env=_environment(OPENAI_BASE_URL=base_url, WARMTURN_TESTS_MODEL=model, PYTHONPATH=str(_TELLING)),
            capture_output=True,
            text=True,
            timeout=_TALK_SECONDS,
        )
        assert ran.returncode == 0, ran.stderr[-8_000:]
        seen: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return seen

    def install(self) -> None:
        """Unless it is there. The last thing that is made says that all of it is."""
        whole = self.environment / "whole"
        if whole.exists():
            return
        shutil.rmtree(self.environment, ignore_errors=True)
        self.environment.mkdir(parents=True)
        for command in self._made_by():
            ran = subprocess.run(
                command, cwd=self.environment, capture_output=True, text=True, timeout=_INSTALL_SECONDS
            )
            assert ran.returncode == 0, ran.stdout[-4_000:] + ran.stderr[-4_000:]
        whole.touch()

    def _talk(self) -> list[str]:
        if self.is_python:
            return [str(self.environment / "bin" / "python"), str(self.folder / "talk.py")]
        for script in (self.folder / "talk.mjs", _TELLING / "telling.mjs"):
            shutil.copy(script, self.environment)  # packages are looked for beside it
        return ["node", str(self.environment / "talk.mjs")]

    def _made_by(self) -> list[list[str]]:
        if self.is_python:
            pip = [sys.executable, "-m", "pip", "--python", str(self.environment / "bin" / "python")]
            locked = ["--no-deps", "--no-compile", "-r", str(self.folder / "requirements.txt")]
            return [
                [sys.executable, "-m", "venv", "--without-pip", str(self.environment)],
                [*pip, "install", "--quiet", *locked],
            ]
        for file in ("package.json", "package-lock.json"):
            shutil.copy(self.folder / file, self.environment)
        return [["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]]


def _environment(**variables: str) -> dict[str, str]:
    """What a person would have who has set nothing of the project's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WARMTURN_", "PYTHON"))}
    return {**kept, "OPENAI_API_KEY": "none", **variables}
