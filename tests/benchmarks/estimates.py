"""Whether estimates of what reuse saves can be believed: `python -m tests.benchmarks.estimates`.

The bundled model, in float32 and in bfloat16, on this machine's processors. In one course a server starts beside eight
busy processes, which then end; in the other it starts on a quiet machine, which then becomes busy. Nine short turns on
saved state follow. From the tenth turn on, at five lengths, a turn on saved state says how long recomputing it would
have taken (the estimate), and then the same prompt is really computed in full (measured); both are repeated. Compared
are the medians at each length. Needs a machine that does nothing else. Ends with one line of JSON, and with exit code 1
where all estimates of a length were unknown, or their median off by more than 30%.
"""

import argparse
import itertools
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks.engine_process import EngineProcess, engine_process

from warmturn_server.engine_api import ReuseMode, TurnReport
from warmturn_server.settings import Settings

LENGTHS = (300, 600, 1200, 2000, 3000)
SHORT_TURNS, SHORT_TURN_TOKENS = 9, 30
LAST_TURN_TOKENS = 40
BUSY_PROCESSES = 8
TOLERATED = 0.3
VOCABULARY = 2000
COURSES = ("busy, then quiet", "quiet, then busy")
TokenIds = tuple[int, ...]

_chance = random.Random(0)


@dataclass(frozen=True, slots=True)
class Row:
    """Milliseconds, medians of the repeated turns, the estimates' of those that are known; `worst` is the single ratio
    of estimated to measured that was furthest from 1."""

    dtype: str
    course: str
    tokens: int
    estimated: float | None
    low: float | None
    high: float | None
    measured: float
    unknown: int
    worst: float | None

    @property
    def ratio(self) -> float | None:
        return None if self.estimated is None else self.estimated / self.measured

    @property
    def is_right(self) -> bool:
        return self.ratio is not None and abs(self.ratio - 1) <= TOLERATED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=15, help="beside busy processes five medians scatter by a third")
    parser.add_argument("--busy", type=int, default=BUSY_PROCESSES, help="so many processes compute beside it")
    given = parser.parse_args()
    rows = list[Row]()
    for dtype, course in itertools.product(("float32", "bfloat16"), COURSES):
        rows += one_course(dtype, course, given.repeat, given.busy)
        print_rows(rows[-len(LENGTHS) :])
    right = sum(row.is_right for row in rows)
    print(f"{right} of {len(rows)} estimates within {TOLERATED:.0%} of what was measured")
    print(json.dumps([as_json(row) for row in rows]))
    return 0 if right == len(rows) else 1


def one_course(dtype: str, course: str, repeat: int, busy: int) -> list[Row]:
    starts_busy = course == COURSES[0]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        settings = Settings(data_dir=Path(folder), dtype=dtype, control_rate=0.0)  # type: ignore[arg-type]
        with busy_processes(busy if starts_busy else 0):
            engine = running.enter_context(engine_process(settings))
        running.enter_context(busy_processes(0 if starts_busy else busy))
        talk = tokens(100)
        for _ in range(SHORT_TURNS):
            talk += tokens(SHORT_TURN_TOKENS)
            engine.say(talk, ReuseMode.STATE)
        return [compared(engine, dtype, course, length, repeat) for length in LENGTHS]


def compared(engine: EngineProcess, dtype: str, course: str, length: int, repeat: int) -> Row:
    """Conversations of this length that end differently: each goes on from state, and is then computed in full."""
    history = tokens(length - LAST_TURN_TOKENS)
    engine.say(history, ReuseMode.STATE)
    both = [on_state_and_in_full(engine, history + tokens(LAST_TURN_TOKENS)) for _ in range(repeat)]
    known = [(state, full) for state, full in both if state.recompute_ms is not None]
    return Row(
        dtype,
        course,
        length,
        median([state.recompute_ms for state, _ in known]),
        median([state.recompute_ms_ci95[0] for state, _ in known if state.recompute_ms_ci95]),
        median([state.recompute_ms_ci95[1] for state, _ in known if state.recompute_ms_ci95]),
        statistics.median(full.prefill_ms or 0.0 for _, full in both),
        len(both) - len(known),
        max(((state.recompute_ms or 0.0) / (full.prefill_ms or 1.0) for state, full in known), key=off, default=None),
    )


def on_state_and_in_full(engine: EngineProcess, prompt: TokenIds) -> tuple[TurnReport, TurnReport]:
    state = engine.say(prompt, ReuseMode.STATE)
    assert state.cached_tokens == len(prompt) - LAST_TURN_TOKENS, "the history was not reused"
    return state, engine.say(prompt, ReuseMode.PROMPT)


def off(ratio: float) -> float:
    return max(ratio, 1 / ratio)


def median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def tokens(count: int) -> TokenIds:
    return tuple(_chance.randrange(10, VOCABULARY) for _ in range(count))


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    processes = [get_context("spawn").Process(target=_compute, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def _compute() -> None:
    while True:
        sum(range(100_000))


def print_rows(rows: Sequence[Row]) -> None:
    print(f"\n{rows[0].dtype}, {rows[0].course}: recomputing, ms")
    print(f"{'tokens':>8}{'estimated':>11}{'95%':>18}{'measured':>10}{'ratio':>7}{'worst':>7}{'unknown':>9}")
    for row in rows:
        interval = "" if row.low is None or row.high is None else f"{row.low:.0f} to {row.high:.0f}"
        figures = f"{_shown(row.estimated, 0):>11}{interval:>18}{row.measured:>10.0f}"
        print(
            f"{row.tokens:>8,}{figures}{_shown(row.ratio, 2):>7}{_shown(row.worst, 2):>7}{row.unknown:>9}", flush=True
        )


def _shown(value: float | None, digits: int) -> str:
    return "?" if value is None else f"{value:.{digits}f}"


def as_json(row: Row) -> dict[str, object]:
    figures = {name: getattr(row, name) for name in Row.__slots__}
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    return {**rounded, "ratio": None if row.ratio is None else round(row.ratio, 3)}


if __name__ == "__main__":
    sys.exit(main())
