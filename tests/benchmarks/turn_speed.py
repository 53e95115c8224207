"""What saved state is worth, measured: `python -m tests.benchmarks.turn_speed`.

A random model of the 135M Llama shape in bfloat16 on this machine's cores, or with `--device cuda` on its GPU. All
variants of a row alternate within one run; figures are medians. Needs a machine that does nothing else. Ends with one
line of JSON.
"""

import argparse
import asyncio
import itertools
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ByteSize
from tests.benchmarks.engine_process import EngineProcess, engine_process, greedy
from tests.benchmarks.http_overhead import measure_http_overhead
from tests.benchmarks.shape_135m import VOCABULARY, make_model

from warmturn_server.build import build_engine
from warmturn_server.engine import Engine
from warmturn_server.engine_api import GenerationRequest, ReuseMode, TurnReport
from warmturn_server.settings import Settings
from warmturn_server.threads import on_a_thread_of_its_own

HISTORIES = (0, 1000, 2000, 4000, 8000)
TOGETHER = (1, 2, 4, 8, 16, 32)
TURN_TOKENS = 64
REPLY_TOKENS = 8
PAUSES = (0.25, 0.0)
Row = dict[str, float | int | str | None]
TITLES = {
    "turn": "A 64-token turn: time to first token, ms",
    "batch": "Decoding together: tokens per second",
    "saving": "The reply with saving on and off, ms",
    "overhead": "A step of 8 sequences outside the forward pass, ms",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-dir", type=Path, help="keep the random model here between runs")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--tokens", type=int, nargs="+", default=HISTORIES, help="of history before the turn")
    parser.add_argument("--repeat-prompt", type=int, help="how often all is computed, which takes longest (--repeat)")
    parser.add_argument("--only-turn", action="store_true", help="the first table alone")
    parser.add_argument("--device", default="cpu", help="where the model runs, as for `warmturn serve`")
    given = parser.parse_args()
    figures: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch, repeat, device = Path(folder), given.repeat, given.device
        model = on_a_thread_of_its_own(lambda: make_model(given.model_dir or scratch / "model"))
        prompts = repeat if given.repeat_prompt is None else min(given.repeat_prompt, repeat)
        figures["turn"] = turns(model, scratch, given.tokens, repeat, prompts, device)
        if not given.only_turn:
            figures["batch"] = batching(model, scratch, repeat, device)
            figures["saving"] = saving(model, scratch, repeat, device)
            figures["overhead"] = measure_http_overhead(model, scratch / "http", device)
    for name, rows in figures.items():
        print_table(TITLES[name], rows)
    print(json.dumps(figures))


def turns(model: Path, scratch: Path, histories: Sequence[int], repeat: int, prompts: int, device: str) -> list[Row]:
    """The same new turn after a restart, when only the disk has the conversation, on a resident one after a pause and
    with none (then its buffer may have to grow first), and in full.

    Every round is a start of the engine on the files that the one before left; the last `prompts` of them compute all.
    """
    bases = {history: tokens(history) for history in histories}
    seen: dict[int, dict[str, list[TurnReport]]] = {
        history: {"resident": [], "at once": [], "disk": [], "prompt": []} for history in histories
    }
    with engine_of(model, scratch / "turns", device, ram_cache=0) as engine:
        for base in bases.values():
            make_resident(engine, base)
    for left in reversed(range(repeat)):
        with engine_of(model, scratch / "turns", device, ram_cache=0) as engine:
            for history, base in bases.items():
                seen[history]["disk"].append(say(engine, base + tokens(TURN_TOKENS), ReuseMode.STATE))
                for kind, pause in zip(("resident", "at once"), PAUSES, strict=True):
                    make_resident(engine, base)
                    time.sleep(pause)
                    seen[history][kind].append(say(engine, base + tokens(TURN_TOKENS), ReuseMode.STATE))
                if left < prompts:
                    seen[history]["prompt"].append(say(engine, base + tokens(TURN_TOKENS), ReuseMode.PROMPT))
    return [turn_row(history, seen[history]) for history in histories]


def turn_row(history: int, seen: dict[str, list[TurnReport]]) -> Row:
    kinds = ("resident", "at once", "disk")
    resident, at_once, disk = (median(seen[kind], lambda report: report.ttft_ms) for kind in kinds)
    prompt = median(seen["prompt"], lambda report: report.ttft_ms) if seen["prompt"] else None
    assert all(
        report.cached_by_tier.get(tier, 0) >= history - 1 for tier in ("resident", "disk") for report in seen[tier]
    )
    return {
        "history": history,
        "resident": resident,
        "at once": at_once,
        "disk": disk,
        "prompt": prompt,
        "prompt / resident": round(prompt / resident, 2) if prompt else None,
        "disk / resident": round(disk / resident, 2),
        "restore": median(seen["disk"], lambda report: report.restore_ms),
    }


def make_resident(engine: Engine, base: tuple[int, ...]) -> None:
    if base:
        say(engine, base, ReuseMode.STATE, reply_tokens=1)
        engine.flush()


def batching(model: Path, scratch: Path, repeat: int, device: str) -> list[Row]:
    """Tokens per second of so many conversations in one batch, and how that compares with one alone."""
    rows: list[Row] = []
    with engine_of(model, scratch / "batch", device) as engine:
        for history in (100, 1000):
            bases = [tokens(history) for _ in range(max(TOGETHER))]
            for base in bases:
                say(engine, base, ReuseMode.STATE, reply_tokens=1)
            seen: dict[int, list[float]] = {count: [] for count in TOGETHER}
            for _ in range(repeat):
                for count in TOGETHER:
                    seen[count].append(asyncio.run(rate(engine, bases[:count])))
            rates = {count: statistics.median(rates) for count, rates in seen.items()}
            rows += [batch_row(history, count, rate, rates[1]) for count, rate in rates.items()]
    return rows


def batch_row(history: int, count: int, rate: float, alone: float) -> Row:
    return {
        "history": history,
        "together": count,
        "tokens/s": round(rate, 1),
        "times one alone": round(rate / alone, 2),
    }


async def rate(engine: Engine, bases: list[tuple[int, ...]]) -> float:
    """Output tokens per second while all of these decode."""
    reports = await asyncio.gather(*(stream(engine, base + tokens(2)) for base in bases))
    per_token = [report.decode_ms_per_token or 0.0 for report in reports]
    return sum(1000 / ms for ms in per_token)


async def stream(engine: Engine, prompt: tuple[int, ...]) -> TurnReport:
    generation = engine.submit(GenerationRequest(prompt, greedy(48)))
    async for delta in generation:
        if delta.finish is not None:
            return delta.finish.report
    raise AssertionError("a generation ends with its report")


def saving(model: Path, scratch: Path, repeat: int, device: str) -> list[Row]:
    """TTFT and time per token with and without tiers to save to, of conversations of five turns.

    Once with a short pause between turns, as whoever reads a reply makes one, and once with none: then every turn
    begins while the one before is being saved.
    """
    with (
        engine_process(settings(model, scratch / "on", device)) as on,
        engine_process(settings(model, scratch / "off", device, ram_cache=0, disk_cache=0)) as off,
    ):
        return [row for pause in PAUSES for row in saving_rows({"on": on, "off": off}, repeat, pause)]


def saving_rows(engines: dict[str, EngineProcess], repeat: int, pause: float) -> Iterator[Row]:
    seen: dict[str, list[TurnReport]] = {name: [] for name in engines}
    for _ in range(repeat):
        prompts = list(itertools.accumulate((tokens(TURN_TOKENS) for _ in range(5)), initial=tokens(500)))
        for name, engine in engines.items():
            for prompt in prompts:
                report = engine.say(prompt, ReuseMode.STATE, reply_tokens=16)
                if prompt is not prompts[0]:
                    seen[name].append(report)
                time.sleep(pause)
            engine.flush()
    for name, reports in seen.items():
        yield {
            "pause": pause,
            "saving": name,
            "ttft": median(reports, lambda report: report.ttft_ms),
            "ms per token": median(reports, lambda report: report.decode_ms_per_token),
            "turns": len(reports),
        }


def settings(
    model: Path, data_dir: Path, device: str, *, ram_cache: int = 2**30, disk_cache: int = 4 * 2**30
) -> Settings:
    return Settings(
        model=str(model),
        data_dir=data_dir,
        device=device,
        dtype="bfloat16",
        control_rate=0,
        drafts="off",  # random weights say the same over and over
        ram_cache=ByteSize(ram_cache),
        disk_cache=ByteSize(disk_cache),
    )


@contextmanager
def engine_of(
    model: Path, data_dir: Path, device: str, *, ram_cache: int = 2**30, disk_cache: int = 4 * 2**30
) -> Iterator[Engine]:
    engine = build_engine(settings(model, data_dir, device, ram_cache=ram_cache, disk_cache=disk_cache))
    engine.start()
    try:
        yield engine
    finally:
        engine.close()


def say(engine: Engine, prompt: tuple[int, ...], mode: ReuseMode, reply_tokens: int = REPLY_TOKENS) -> TurnReport:
    return engine.generate(GenerationRequest(prompt, greedy(reply_tokens), reuse=mode)).report


def tokens(count: int) -> tuple[int, ...]:
    return tuple(random.randrange(300, VOCABULARY) for _ in range(count))


def median(reports: list[TurnReport], read: Callable[[TurnReport], float | None]) -> float:
    return round(statistics.median(value for report in reports if (value := read(report)) is not None), 1)


def print_table(title: str, rows: list[Row]) -> None:
    print(f"\n{title}")
    names = list(rows[0])
    widths = [max(len(name), *(len(str(row[name])) for row in rows)) for name in names]
    print("  ".join(name.rjust(width) for name, width in zip(names, widths, strict=True)))
    for row in rows:
        print("  ".join(str(row[name]).rjust(width) for name, width in zip(names, widths, strict=True)))


if __name__ == "__main__":
    main()
