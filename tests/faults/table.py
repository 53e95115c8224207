"""The table of all rows for `tests/README.md`, from the records of their runs."""

from collections.abc import Iterable

from tests.faults.record import Record

_HEAD = """\
| row | trials | did not hold | seen | seed | commit | minutes |
|---|---:|---:|---|---:|---|---:|"""


def table(records: Iterable[Record]) -> str:
    """Markdown, a line for each record; the machine is named below."""
    kept = sorted(records, key=lambda record: (record.run.row, record.run.commit, record.run.seed))
    machines = sorted({record.run.machine for record in kept})
    return "\n".join([_HEAD, *map(_line, kept), "", *(f"Machine: {machine}." for machine in machines)])


def _line(record: Record) -> str:
    run = record.run
    cells = [
        f"`{run.row}`",
        f"{record.trials:,}",
        f"{len(record.failures):,}",
        what_was_seen(record),
        str(run.seed),
        run.commit,
        f"{record.seconds / 60:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def what_was_seen(record: Record) -> str:
    counts = [f"{count:,} {name}" for name, count in record.seen.counts.items()]
    largest = [f"{name} at most {value:,.4g}" for name, value in record.seen.largest.items()]
    return ", ".join(counts + largest)
