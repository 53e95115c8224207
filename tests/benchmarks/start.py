"""From start to ready: `python -m tests.benchmarks.start`.

Of `warmturn serve` as its users start it, how much of that Python takes to import PyTorch and the rest, and of a
process that has imported everything, on an empty data folder and again on the same one. Ends with one line of JSON.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.benchmarks.turn_speed import Row, print_table
from tests.support.launch import IMPORTED_WITH, Launch, forked, fresh
from tests.support.server import ServerProcess

from warmturn_server import bundled

IMPORTS: Final = "import warmturn_server.build, warmturn_server.serve, warmturn.cli.app"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=bundled.path(), help="a folder")
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        serving(given.model, Path(scratch, "first"), forked)  # the first fork pays for the imports
        starts: dict[str, Callable[[int], float]] = {
            "imports alone": importing,
            "warmturn serve": lambda number: serving(given.model, Path(scratch, f"a{number}"), fresh),
            "after the imports": lambda number: serving(given.model, Path(scratch, f"b{number}"), forked),
            "and once more": lambda number: serving(given.model, Path(scratch, f"b{number}"), forked),
        }
        rows = [row(what, seconds, given.repeat) for what, seconds in starts.items()]
    print_table("Seconds until ready", rows)
    print(json.dumps({"model": str(given.model), "rows": rows}))


def row(what: str, seconds: Callable[[int], float], repeat: int) -> Row:
    seen = [seconds(number) for number in range(repeat)]
    return {"start": what, "median": round(statistics.median(seen), 2), "most": round(max(seen), 2), "of": repeat}


def importing(_: int) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, env={**os.environ, **IMPORTED_WITH})
    return time.perf_counter() - began


def serving(model: Path, data_dir: Path, launch: Launch) -> float:
    began = time.perf_counter()
    server = ServerProcess(model, data_dir, launch=launch).start()
    seconds = time.perf_counter() - began
    server.terminate()
    return seconds


if __name__ == "__main__":
    main()
