"""The power goes while turns are written: of every file only what was synced is left."""

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.faults.row import Outcome, Row, Trial
from tests.support.appending import TEXT
from tests.support.programs import program

from warmturn_server.chat import ConversationId, SqliteStore

_ROOT = Path(__file__).parents[3]
_SHIM = _ROOT / "tests" / "support" / "native" / "synced.c"
_MOST_LINES = 90


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    shim = folder / "synced.so"
    subprocess.run([program("cc"), "-shared", "-fPIC", "-o", shim, _SHIM, "-ldl"], check=True)
    yield _PowerCut(shim, folder).try_once


class _PowerCut:
    def __init__(self, shim: Path, folder: Path) -> None:
        self._shim, self._written, self._synced = shim, folder / "written", folder / "synced"

    def try_once(self, _: int, chance: random.Random) -> Outcome:
        for folder in (self._written, self._synced):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        acknowledged = self._write_until_the_power_goes(chance)
        turns = {(name, int(number)) for what, name, *numbers in acknowledged if what == "turn" for number in numbers}
        deleted = {name for what, name, *_ in acknowledged if what == "deleted"}
        self._check(turns, deleted, begun=acknowledged[-1][1] if acknowledged else "")
        return Outcome(Counter({"power cuts": 1, "acknowledged turns": len(turns), "deletions": len(deleted)}))

    def _write_until_the_power_goes(self, chance: random.Random) -> list[list[str]]:
        environment = {"LD_PRELOAD": str(self._shim), "SYNCED_FROM": str(self._written), "SYNCED_TO": str(self._synced)}
        command = [sys.executable, "-m", "tests.support.appending", str(self._written / "log.sqlite3")]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=_ROOT, env={**os.environ, **environment}
        ) as writing:
            assert writing.stdout is not None
            lines = [writing.stdout.readline() for _ in range(chance.randrange(_MOST_LINES))]
            time.sleep(chance.uniform(0, 0.005))
            writing.kill()
            lines += writing.stdout.readlines()
        return [line.split() for line in lines if line.endswith("\n")]  # of the last one perhaps only the beginning

    def _check(self, turns: set[tuple[str, int]], deleted: set[str], begun: str) -> None:
        with closing(SqliteStore(self._synced / "log.sqlite3")) as store:
            for name in {name for name, _ in turns}:
                opened = store.open_conversation("", ConversationId(name))
                if name in deleted:
                    assert opened is None, f"{name} was deleted and is there again"
                elif opened is None:
                    assert name == begun, f"{name} is lost"
                else:
                    kept = {(name, number) for number, _ in enumerate(opened.turns)}
                    assert {turn for turn in turns if turn[0] == name} <= kept, f"turns of {name} are lost"
                    assert all(turn.output[0].text == TEXT for turn in opened.turns)


ROW = Row(
    "power-cuts",
    "what was acknowledged is there although everything that was not synced is lost",
    long=1_000,
    short=5,
    rig=_rig,
)
