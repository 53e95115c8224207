"""What weights in fewer bits do to answers, and to a step: `python -m tests.benchmarks.quantised`.

The bundled model holds held-out dialogues of its generator: every turn is answered greedily on the same prompt by the
model as it is and with `--weights int8` and `int4`, and among those that ask for something told before the replies
right to the last character are counted. A random model of the 135M Llama shape says how far its logits move, and
how long a step takes: the kinds alternate, and the shortest of each counts, which others on the machine disturb least.
Ends with one line of JSON.
"""

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import get_args

import torch
from tests.benchmarks.decoding import filled, timed
from tests.benchmarks.held_out import Prompt, hold_dialogues, say
from tests.benchmarks.shape_135m import VOCABULARY, make_model

from warmturn_mini.data import Turn
from warmturn_server.build import build_engine
from warmturn_server.engine import Engine, ModelRunner, Work, load_model
from warmturn_server.engine.model.products.few_bits import WeightKind
from warmturn_server.engine_api import ReuseMode
from warmturn_server.settings import Settings
from warmturn_server.threads import compute_with

KINDS: tuple[WeightKind, ...] = get_args(WeightKind)
TEXT = 128
STEPS = {"1 decoding": (1, 1), "4 decoding": (4, 1), "8 decoding": (8, 1), "prefill of 64": (1, 64), "of 512": (1, 512)}
"""Sequences, and tokens of each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dialogues", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=20, help="of each step")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--history", type=int, default=1000, help="tokens before each step")
    parser.add_argument("--busy-machine", action="store_true", help="one thread's processor time, not the clock")
    options = parser.parse_args()
    compute_with(1 if options.busy_machine else options.threads)
    recalls = recalled(options.dialogues, options.dtype)
    print_table("bundled model, " + options.dtype, recalls)
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder))
        runners: dict[str, ModelRunner] = {kind: runner_of(model, kind, options.dtype) for kind in KINDS}
        distances, steps = distances_of(runners), step_times(runners, options)
    print_table("random 135M shape, logits", distances)
    print_table("random 135M shape, ms a step", steps)
    print(json.dumps({"threads": torch.get_num_threads(), "bundled": recalls, "logits": distances, "ms": steps}))


def recalled(dialogues: int, dtype: str) -> dict[str, dict[str, int]]:
    """All go on from what the model as it is said."""
    figures: dict[WeightKind, Counter[str]] = {kind: Counter() for kind in KINDS}

    def answer(prompt: Prompt, turn: Turn) -> str:
        said = {kind: say(engine, prompt, ReuseMode.STATE) for kind, engine in made.items()}
        for kind, counts in figures.items():
            counts["turns"] += 1
            counts["turns that differ"] += said[kind].token_ids != said["auto"].token_ids
            counts["recalls"] += bool(turn.asked)
            counts["right"] += bool(turn.asked) and said[kind].text.strip() == turn.assistant
        return said["auto"].text

    with engines(dtype) as made:
        hold_dialogues(dialogues, answer)
    return {kind: dict(counts) for kind, counts in figures.items()}


@contextmanager
def engines(dtype: str) -> Iterator[dict[WeightKind, Engine]]:
    with ExitStack() as stack:
        made = dict[WeightKind, Engine]()
        for kind in KINDS:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            made[kind] = build_engine(Settings(data_dir=folder, dtype=dtype, weights=kind))  # type: ignore[arg-type]
            made[kind].start()
            stack.callback(made[kind].close)
        yield made


def runner_of(model: Path, kind: WeightKind, dtype: str) -> ModelRunner:
    return ModelRunner(load_model(str(model), device="cpu", dtype=dtype, max_context=None), weights=kind)


def distances_of(runners: Mapping[str, ModelRunner]) -> dict[str, dict[str, float]]:
    """From the model as it is: Kullback-Leibler divergence in nats, and how often the likeliest token is the same.

    Over random text, in one prefill and token by token, which go through different products.
    """
    token_ids = torch.randint(VOCABULARY, (TEXT,), generator=torch.Generator().manual_seed(0)).tolist()
    figures: dict[str, dict[str, float]] = {kind: {} for kind in runners}
    for name, chunk in (("prefill", TEXT), ("decoding", 1)):
        own = logarithms(runners["auto"], token_ids, chunk)
        for kind, runner in runners.items():
            got = own if kind == "auto" else logarithms(runner, token_ids, chunk)
            figures[kind][f"KL, {name}"] = round(float((own.exp() * (own - got)).sum(-1).mean()), 6)
            figures[kind][f"same best, {name}"] = round(float((own.argmax(-1) == got.argmax(-1)).float().mean()), 4)
    return figures


def logarithms(runner: ModelRunner, token_ids: Sequence[int], chunk: int) -> torch.Tensor:
    """`[tokens, vocabulary]`: of the probability of each next token."""
    buffer = runner.buffer(len(token_ids))
    parts = [token_ids[start : start + chunk] for start in range(0, len(token_ids), chunk)]
    logits = [runner.forward([Work(buffer, part, rows=range(len(part) - 1))]) for part in parts]
    return torch.cat(logits).log_softmax(-1)


def step_times(runners: Mapping[str, ModelRunner], options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Milliseconds, and MiB of weights."""
    clock = time.thread_time if options.busy_machine else time.perf_counter
    figures = {kind: {"MiB": round(runner.weights.resident_bytes / 2**20, 1)} for kind, runner in runners.items()}
    for name, (sequences, new_tokens) in STEPS.items():
        buffers = {
            kind: [filled(runner, options.history, new_tokens) for _ in range(sequences)]
            for kind, runner in runners.items()
        }
        taken: dict[str, list[float]] = {kind: [] for kind in runners}
        for _ in range(options.repeat):
            for kind, runner in runners.items():
                taken[kind].append(timed(runner, buffers[kind], options.history, new_tokens, clock))
        for kind, seconds in taken.items():
            figures[kind][name] = round(1000 * min(seconds), 2)
    return figures


def print_table(title: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    """A row for each kind."""
    names = list(next(iter(figures.values())))
    print(f"| {title} | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for kind, values in figures.items():
        print(f"| `{kind}` | " + " | ".join(f"{values[name]:,}" for name in names) + " |")


if __name__ == "__main__":
    main()
