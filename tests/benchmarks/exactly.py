"""Whether `--exact` keeps every bit, and what that costs: `python -m tests.benchmarks.exactly`.

Conversations of random words grow turn by turn. Each turn is computed in full, alone and in one prefill; then all
conversations go on together from their saved state, on engines that cut prefills otherwise and keep state elsewhere: in
memory, in the tier of main memory, on disk. Tokens and the logarithms of their probabilities, which are of all logits,
have to be the same to the last bit. The same without `--exact` stands beside it, and so does the price. Ends with
one line of JSON, and with exit code 1 if anything differed under `--exact`.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

from tests.benchmarks.decoding import filled, timed
from tests.benchmarks.shape_135m import make_model
from tests.support.engines import all_at_once, greedy, running_engine

from warmturn_server import bundled
from warmturn_server.engine import Engine, ModelRunner, load_model
from warmturn_server.engine_api import Generated, ReuseMode
from warmturn_server.threads import compute_with

CONVERSATIONS, USER_TOKENS, REPLY_TOKENS = 3, 40, 10
LONGEST = 700
"""Tokens, more than one block of attention's keys; then a conversation begins anew."""
CUTS: Mapping[str, Mapping[str, object]] = {
    "ram": {"prefill_budget": 23, "ram_cache": 2**30, "disk_cache": 0},
    "disk": {"prefill_budget": 512, "ram_cache": 0, "disk_cache": 2**30},
}
COUNTED = ("turns", "tokens", "reused", "tokens differ", "bits differ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=500, help="of each model and dtype; four times as many in all")
    parser.add_argument("--models", default="bundled,135m", help="or folders of real ones")
    asked = parser.parse_args()
    figures = dict[str, Mapping[str, int]]()
    prices = dict[str, Mapping[str, float]]()
    with tempfile.TemporaryDirectory() as folder:
        models: dict[str, Callable[[], Path]] = {"bundled": bundled.path, "135m": lambda: make_model(Path(folder))}
        for name in asked.models.split(","):
            model = models[name]() if name in models else Path(name)
            for dtype in ("bfloat16", "float32"):
                for exact in (True, False):
                    turns = asked.turns if exact else min(asked.turns, 120)
                    how = f"{name} {dtype} {'exact' if exact else 'default'}"
                    figures[how] = compared(model, dtype, turns, exact=exact)
                    print_row(how, figures[how])
                prices[f"{name} {dtype}"] = price(model, dtype)
                print(f"{name} {dtype}, exact / default:", prices[f"{name} {dtype}"], flush=True)
    print(json.dumps({"figures": figures, "price": prices}))
    kept = [counts for how, counts in figures.items() if how.endswith("exact")]
    return int(any(counts["tokens differ"] or counts["bits differ"] for counts in kept))


def compared(model: Path, dtype: str, turns: int, *, exact: bool, seed: int = 0) -> Counter[str]:
    counts: Counter[str] = Counter(dict.fromkeys(COUNTED, 0))
    chance = Random(seed)
    with engines(model, dtype, exact=exact) as made:
        histories: list[tuple[int, ...]] = [()] * CONVERSATIONS
        while counts["turns"] < turns:
            prompts = [(*history, *_words(chance)) for history in histories]
            full = [made[0].generate(greedy(prompt, REPLY_TOKENS, ReuseMode.PROMPT)) for prompt in prompts]
            for engine in made:
                if chance.random() < 0.5:
                    engine.flush()
                    engine.evict_idle()
                kept = all_at_once(engine, [greedy(prompt, REPLY_TOKENS) for prompt in prompts])
                for pair in zip(full, kept, strict=True):
                    _count(counts, *pair)
            said = [(*prompt, *answer.token_ids) for prompt, answer in zip(prompts, full, strict=True)]
            histories = [() if len(history) > LONGEST else history for history in said]
    return counts


def _words(chance: Random) -> list[int]:
    return [chance.randrange(10, 300) for _ in range(chance.randint(1, USER_TOKENS))]


def _count(counts: Counter[str], full: Generated, kept: Generated) -> None:
    counts["turns"] += 1
    counts["tokens"] += len(full.token_ids)
    counts["reused"] += kept.report.cached_tokens
    counts["tokens differ"] += full.token_ids != kept.token_ids
    counts["bits differ"] += full.logprobs != kept.logprobs


@contextmanager
def engines(model: Path, dtype: str, *, exact: bool) -> Iterator[Sequence[Engine]]:
    with ExitStack() as stack:
        made = list[Engine]()
        for cut in CUTS.values():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            settings = {"dtype": dtype, "exact": exact, "executor": "auto", **cut}
            made.append(stack.enter_context(running_engine(model, folder, **settings)))
        yield made


def price(model: Path, dtype: str, repeat: int = 8) -> dict[str, float]:
    """A step's processor time after 500 tokens, by what it is without `--exact`; the two alternate on one thread."""
    compute_with(1)
    loaded = [load_model(str(model), device="cpu", dtype=dtype, max_context=None) for _ in range(2)]
    runners = [ModelRunner(each, exact=exact) for each, exact in zip(loaded, (True, False), strict=True)]
    ratios = dict[str, float]()
    for name, (sequences, new) in {"1 decoding": (1, 1), "8 decoding": (8, 1), "prefill of 256": (1, 256)}.items():
        least = [float("inf")] * 2
        for _ in range(repeat):
            for number, runner in enumerate(runners):
                buffers = [filled(runner, 500, new) for _ in range(sequences)]
                began = time.thread_time()
                timed(runner, buffers, 500, new)
                least[number] = min(least[number], time.thread_time() - began)
        ratios[name] = round(least[0] / least[1], 2)
    return ratios


def print_row(how: str, counts: Mapping[str, int]) -> None:
    print("| " + " | ".join([how, *(f"{counts[name]:,} {name}" for name in COUNTED)]) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
