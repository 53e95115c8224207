"""The long form of a row: `python -m tests.faults ROW --count N --seed S`; without a row: which there are.

A run that is cut off goes on where it was when it is started again with the same seed, from the same commit; what it
saw is kept in `--results`. It prints how far it is, ends with one line of JSON, and with exit code 1 if anything did
not hold. `--trial NUMBER` tries that one alone. `--table` prints what all runs came to, for `tests/README.md`.
"""

import argparse
import json
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from platformdirs import user_state_path
from tests.faults import long, rows
from tests.faults.origin import commit, machine
from tests.faults.record import Record, Run
from tests.faults.row import Row, chance
from tests.faults.table import table, what_was_seen

_TELL_SECONDS = 10.0
_SHOWN_FAILURES = 5


def main() -> int:
    asked = _asked()
    if asked.table:
        print(table(Record.read(file) for file in asked.results.glob("*.json")))
        return 0
    if asked.row is None:
        for row in all_rows().values():
            print(f"{row.name} ({row.long:,} trials): {row.must_hold}")
        return 0
    row = all_rows()[asked.row]
    if asked.trial is not None:
        return _try_alone(row, asked.seed, asked.trial)
    return _run(row, asked.count or row.long, asked.seed, asked.results)


def all_rows() -> dict[str, Row]:
    """By name; each module below `rows` defines one."""
    modules = (import_module(f"{rows.__name__}.{module.name}") for module in iter_modules(rows.__path__))
    return {module.ROW.name: module.ROW for module in modules}


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("row", nargs="?", choices=sorted(all_rows()))
    parser.add_argument("--count", type=int, help="trials in all; the row's long form if left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trial", type=int, help="this one alone, with its traceback; nothing is written down")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--results", type=Path, default=user_state_path("warmturn") / "faults")
    return parser.parse_args()


def _try_alone(row: Row, seed: int, number: int) -> int:
    with tempfile.TemporaryDirectory() as folder, row.rig(Path(folder)) as trial:
        print(trial(number, chance(seed, number)))
    return 0


def _run(row: Row, count: int, seed: int, results: Path) -> int:
    record = Record.of(Run(row.name, seed, commit(), machine()), results)
    print(f"{row.name}: {row.must_hold}")
    if record.trials:
        print(f"{record.trials:,} trials were made before", flush=True)
    told = time.monotonic()

    def tell(record: Record) -> None:
        nonlocal told
        record.save(results)
        if time.monotonic() - told >= _TELL_SECONDS or record.trials == count:
            told = time.monotonic()
            print(_progress(record, count), flush=True)

    long.run(row, record, count, tell)
    for number, why in record.failures[:_SHOWN_FAILURES]:
        print(f"trial {number} did not hold:\n{why}", file=sys.stderr)
    print(json.dumps(record.as_dict() | {"failures": [number for number, _ in record.failures]}))
    return 1 if record.failures else 0


def _progress(record: Record, count: int) -> str:
    failed = f", {len(record.failures):,} did not hold" if record.failures else ""
    return f"{record.trials:,} of {count:,} trials, {record.seconds:,.0f} s{failed}: {what_was_seen(record)}"


if __name__ == "__main__":
    sys.exit(main())
