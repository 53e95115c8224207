"""What state takes in memory and on disk: `python -m tests.benchmarks.memory`.

Bytes a token; what the buffers of 50 conversations that grew turn by turn take beyond that, at once and after the
engine had time to itself; how memory grows over many turns in conversations that come and go. Ends with one line of
JSON.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import ByteSize
from tests.benchmarks.engine_process import greedy
from tests.benchmarks.turn_speed import Row, print_table

from warmturn_server.build import build_engine
from warmturn_server.engine import Engine
from warmturn_server.engine_api import GenerationRequest
from warmturn_server.settings import Settings

CONVERSATIONS: Final = 50
TURNS: Final = 6
SAMPLES: Final = 8
_QUIET_SECONDS: Final = 3.0
_IDS: Final = range(300, 900)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled", help="as for `warmturn serve`")
    parser.add_argument("--turns", type=int, default=2000, help="over which growth is seen")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        buffers = overhead(engine_of(given.model, Path(scratch, "buffers")))
        growth = list(grown(engine_of(given.model, Path(scratch, "growth"), kv_memory="24MiB"), given.turns))
    print_table(f"State of {CONVERSATIONS} conversations of {TURNS} turns", buffers)
    print_table(f"Memory over {given.turns} turns", growth)
    print(json.dumps({"model": given.model, "buffers": buffers, "growth": growth}))


def engine_of(model: str, data_dir: Path, kv_memory: str = "2GiB") -> Engine:
    tiers = {"ram_cache": "16MiB", "disk_cache": "1GiB", "kv_memory": kv_memory}
    sizes = {name: ByteSize._validate(size, None) for name, size in tiers.items()}  # type: ignore[arg-type]
    engine = build_engine(Settings(model=model, data_dir=data_dir, control_rate=0.0, **sizes))  # type: ignore[arg-type]
    engine.start()
    return engine


def overhead(engine: Engine) -> list[Row]:
    chance = random.Random(0)
    conversations: list[tuple[int, ...]] = [()] * CONVERSATIONS
    for _ in range(TURNS):
        conversations = [turn(engine, said, chance) for said in conversations]
    engine.flush()
    tokens = sum(len(said) - 1 for said in conversations)  # the last one of each was chosen, not computed
    at_once = resident(engine, tokens, "at once")
    time.sleep(_QUIET_SECONDS)
    rows = [at_once, resident(engine, tokens, "after a quiet moment"), on_disk(engine, tokens)]
    engine.close()
    return rows


def turn(engine: Engine, said: tuple[int, ...], chance: random.Random) -> tuple[int, ...]:
    """A reply that ends long before its limit, as most do."""
    prompt = (*said, *chance.choices(_IDS, k=chance.randint(10, 80)))
    reply = engine.generate(GenerationRequest(prompt, greedy(chance.randint(10, 60))))
    return (*prompt, *reply.token_ids)


def resident(engine: Engine, tokens: int, when: str) -> Row:
    stats = engine.stats()
    tier = stats["tiers"]["resident"]  # type: ignore[index]
    return row(f"resident, {when}", tier["conversations"], tokens, tier["bytes"], stats)


def on_disk(engine: Engine, tokens: int) -> Row:
    stats = engine.stats()
    return row("disk", CONVERSATIONS, tokens, stats["tiers"]["disk"]["bytes"], stats)  # type: ignore[index]


def row(where: str, conversations: int, tokens: int, num_bytes: int, stats: dict[str, object]) -> Row:
    exact = tokens * int(str(stats["kv_bytes_per_token"]))
    return {
        "state": where,
        "conversations": conversations,
        "tokens": tokens,
        "bytes a token": round(num_bytes / tokens),
        "of them K and V": int(str(stats["kv_bytes_per_token"])),
        "overhead, %": round(100 * (num_bytes / exact - 1), 1),
    }


def grown(engine: Engine, turns: int) -> Iterator[Row]:
    """Conversations of four turns, one after the other; those long past are evicted."""
    chance, said = random.Random(1), tuple[int, ...]()
    for number in range(1, turns + 1):
        said = turn(engine, said if number % 4 else (), chance)
        if number % (turns // SAMPLES) == 0:
            engine.flush()
            yield {"turns": number, "memory, MB": round(anonymous_bytes() / 1e6, 1)}
    engine.close()


def anonymous_bytes() -> int:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status["RssAnon"].split()[0])


if __name__ == "__main__":
    main()
