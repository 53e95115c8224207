"""How often saved state changes an answer: `python -m tests.benchmarks.answers_compared`.

The bundled model holds held-out dialogues of its generator. Every turn is answered greedily three times on the same
prompt: from resident state, from state that was read back from disk, and computed in full. In float32 all must agree.
In bfloat16 a full prefill rounds otherwise than one in pieces, so near-ties may flip; this counts them. Ends with one
line of JSON, and with exit code 1 if float32 differed anywhere or disk from resident.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ByteSize
from tests.benchmarks.held_out import Prompt, hold_dialogues, print_counts, say

from warmturn_mini.data import Turn
from warmturn_server.build import build_engine
from warmturn_server.engine import Engine
from warmturn_server.engine_api import ReuseMode
from warmturn_server.settings import Settings

COUNTED = ("turns", "tokens", "reused tokens", "state and full differ", "disk and resident differ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dialogues", type=int, default=20)
    dialogues = parser.parse_args().dialogues
    figures = {dtype: compare(dtype, dialogues) for dtype in ("float32", "bfloat16")}
    print_counts(figures, COUNTED)
    print(json.dumps(figures))
    exact = figures["float32"]["state and full differ"] == 0
    return 0 if exact and not any(counts["disk and resident differ"] for counts in figures.values()) else 1


def compare(dtype: str, dialogues: int) -> Counter[str]:
    """One engine keeps each dialogue in memory, the other has to read it back from disk before every turn."""
    counts: Counter[str] = Counter()

    def answer(prompt: Prompt, _: Turn) -> str:
        evicted.flush()
        evicted.evict_idle()
        full, kept, read_back = (
            say(resident, prompt, ReuseMode.PROMPT),
            say(resident, prompt, ReuseMode.STATE),
            say(evicted, prompt, ReuseMode.STATE),
        )
        counts["turns"] += 1
        counts["tokens"] += len(full.token_ids)
        counts["reused tokens"] += kept.report.cached_tokens
        counts["state and full differ"] += kept.token_ids != full.token_ids
        counts["disk and resident differ"] += read_back.token_ids != kept.token_ids
        return kept.text

    with running_engine(dtype) as resident, running_engine(dtype) as evicted:
        hold_dialogues(dialogues, answer)
    return counts


@contextmanager
def running_engine(dtype: str) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), dtype=dtype, ram_cache=ByteSize(0))  # type: ignore[arg-type]
        engine = build_engine(settings)
        engine.start()
        try:
            yield engine
        finally:
            engine.close()


if __name__ == "__main__":
    sys.exit(main())
