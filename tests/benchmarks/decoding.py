"""What a step costs by each executor: decoding of several sequences, and a short prefill, after a long history.

`python -m tests.benchmarks.decoding`: the executors, each as `--executor` gives it, take turns within one run, on the
same state, so that their ratios hold on a machine whose pace changes. Prints a table and ends with one line of JSON.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from tests.benchmarks.shape_135m import make_model

from warmturn_server.engine import Executor, ModelRunner, Work, load_model
from warmturn_server.engine.model.runner import ExecutorName
from warmturn_server.kvcache import KVBuffer

HISTORY, NEW_TOKENS = 1000, 60
SEQUENCES = (1, 4, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a folder; default a random model of the 135M Llama shape")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--history", type=int, default=HISTORY)
    parser.add_argument("--repeat", type=int, default=30)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--busy-machine", action="store_true", help="one thread's processor time, not the clock")
    asked = parser.parse_args()
    torch.set_num_threads(1 if asked.busy_machine else asked.threads)
    with tempfile.TemporaryDirectory() as folder:
        model = asked.model or make_model(Path(folder) / "model")
        executors = runners_of(model, asked.dtype)
    runner = next(iter(executors.values()))
    shapes = {f"decode {count}": (count, 1) for count in SEQUENCES} | {f"prefill {NEW_TOKENS}": (1, NEW_TOKENS)}
    ms = {
        name: {kind: 1000 * seconds for kind, seconds in compared(runner, executors, shape, asked).items()}
        for name, shape in shapes.items()
    }
    for line in table(ms, asked.history):
        print(line)
    print(json.dumps({"history": asked.history, "dtype": str(runner.dtype), "threads": runner.num_threads, "ms": ms}))


def runners_of(model: Path, dtype: str) -> dict[str, ModelRunner]:
    """One for each executor that there is, the slowest first, with weights laid out as that one wants them."""
    names: tuple[ExecutorName, ...] = ("generic", "lean", "auto")
    loaded = (load_model(str(model), device="cpu", dtype=dtype, max_context=None) for _ in names)
    runners = [ModelRunner(one, name) for one, name in zip(loaded, names, strict=False)]
    return {runner.executors[-1].kind: runner for runner in runners}


def compared(
    runner: ModelRunner, executors: Mapping[str, Executor], shape: tuple[int, int], asked: argparse.Namespace
) -> dict[str, float]:
    """Median seconds of a step of so many sequences with so many new tokens each, by executor."""
    buffers = [filled(runner, asked.history, shape[1]) for _ in range(shape[0])]
    clock = time.thread_time if asked.busy_machine else time.perf_counter
    seconds: dict[str, list[float]] = {kind: [] for kind in executors}
    for number in range(asked.repeat + 2):
        for kind, executor in executors.items():
            took = timed(executor, buffers, asked.history, shape[1], clock)
            if number >= 2:  # the first ones allocate
                seconds[kind].append(took)
    return {kind: statistics.median(taken) for kind, taken in seconds.items()}


def filled(runner: ModelRunner, history: int, new_tokens: int) -> KVBuffer:
    buffer = runner.buffer(history + new_tokens)
    for layer in range(len(runner.layout.layers)):
        for part in buffer.layer(layer):
            part.normal_()
    return buffer


def timed(
    executor: Executor,
    buffers: Sequence[KVBuffer],
    history: int,
    new_tokens: int,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    for buffer in buffers:
        buffer.length = history
    step = [Work(buffer, list(range(10, 10 + new_tokens))) for buffer in buffers]
    began = clock()
    executor.forward(step)
    return clock() - began


def table(ms: Mapping[str, Mapping[str, float]], history: int) -> Iterator[str]:
    kinds = list(next(iter(ms.values())))
    yield (
        f"| ms a step after {history:,} tokens | "
        + " | ".join(kinds)
        + " | "
        + " | ".join(f"{kind} / {kinds[0]}" for kind in kinds[1:])
        + " |"
    )
    yield "|---" * (2 * len(kinds)) + "|"
    for name, by_kind in ms.items():
        ratios = [f"{by_kind[kind] / by_kind[kinds[0]]:.2f}" for kind in kinds[1:]]
        yield f"| {name} | " + " | ".join([*(f"{value:.1f}" for value in by_kind.values()), *ratios]) + " |"


if __name__ == "__main__":
    main()
