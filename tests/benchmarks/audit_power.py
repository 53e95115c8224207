"""What audits catch, and that they raise no alarm: `python -m tests.benchmarks.audit_power --clean 1000`.

The bundled model holds held-out dialogues of its generator; every turn on saved state is a control turn in shadow mode.
First on sound state, from memory and read back from disk in turn; then with faults planted into the state right before
the turn. Ends with one line of JSON, and with exit code 1 if sound state raised an alarm.
"""

import argparse
import dataclasses
import json
import logging
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from pydantic import ByteSize
from tests.support.controls import num_audits
from tests.support.waiting import wait_until
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from warmturn_mini.dialogues import dialogue
from warmturn_server import bundled
from warmturn_server.build import build_engine
from warmturn_server.engine import Engine, Verdict, Work
from warmturn_server.engine.audit import replays
from warmturn_server.engine.model.batch import Batch
from warmturn_server.engine_api import GenerationRequest, SamplingParams
from warmturn_server.kvcache import KVBuffer
from warmturn_server.metrics.controls import ControlMetrics
from warmturn_server.settings import Settings

TURNS = 12
FACTS = 8
GREEDY = SamplingParams(max_tokens=24, temperature=0.0)
Fault = Callable[[Engine, Random, list[int], KVBuffer], None]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=int, default=200, help="audits of sound state, for each number format")
    parser.add_argument("--faults", type=int, default=20, help="audits of each fault")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--exact", action="store_true", help="with no noise floor: whatever differs is a breach")
    wanted = parser.parse_args()
    replays.QUIET_SECONDS = 0.0
    logging.disable()  # a breach is logged with its report
    figures = {dtype: measure(dtype, wanted.clean, wanted.faults, exact=wanted.exact) for dtype in wanted.dtypes}
    print(json.dumps(figures))
    return 1 if any(figure["clean"]["breach"] for figure in figures.values()) else 0


def measure(dtype: str, num_clean: int, num_faults: int, *, exact: bool) -> dict[str, Any]:
    tokenizer = AutoTokenizer.from_pretrained(bundled.path())
    with running_engine(dtype, exact=exact) as engine:
        verdicts = watch(engine)
        show(dtype, "sound state", clean := summary(sound(engine, tokenizer, num_clean, verdicts)))
        caught = {}
        for name, fault in faults(dtype).items():
            show(dtype, name, one := summary(spoilt(engine, tokenizer, fault, num_faults, verdicts)))
            caught[name] = one
    return {"clean": clean, "faults": caught}


@contextmanager
def running_engine(dtype: str, *, exact: bool) -> Iterator[Engine]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder), dtype=dtype, ram_cache=ByteSize(0), control_rate=1.0, exact=exact)  # type: ignore[arg-type]
        engine = build_engine(settings)
        engine.start()
        try:
            yield engine
        finally:
            engine.close()


def watch(engine: Engine) -> list[Verdict]:
    """Every verdict from now on."""
    seen: list[Verdict] = []
    observer = engine._controls.observer
    assert isinstance(observer, ControlMetrics)
    audited = observer.audited

    def noted(verdict: Verdict, noise_floor: float | None) -> None:
        seen.append(verdict)
        audited(verdict, noise_floor)

    observer.audited = noted  # type: ignore[method-assign]
    return seen


def sound(engine: Engine, tokenizer: PreTrainedTokenizerBase, count: int, verdicts: list[Verdict]) -> list[Verdict]:
    first, seed = len(verdicts), 0
    while len(verdicts) - first < count:
        for number, prompt in enumerate(prompts(engine, tokenizer, Random(seed), TURNS)):
            say(engine, prompt)
            engine.flush()
            if number % 2:
                engine.evict_idle()
        seed += 1
    return verdicts[first:][:count]


def spoilt(
    engine: Engine, tokenizer: PreTrainedTokenizerBase, fault: Fault, count: int, verdicts: list[Verdict]
) -> list[Verdict]:
    """The last turn of a short dialogue goes on from state with a fault in it."""
    found: list[Verdict] = []
    for seed in range(count):
        chance = Random(10_000 + seed)
        dialogue_prompts = list(prompts(engine, tokenizer, chance, chance.choice((3, 5, 8))))
        for prompt in dialogue_prompts[:-1]:
            say(engine, prompt)
        on_engine_thread(engine, partial(plant, engine, fault, chance))
        say(engine, dialogue_prompts[-1])
        found.append(verdicts[-1])
    return found


def plant(engine: Engine, fault: Fault, chance: Random) -> None:
    latest = next(reversed(engine._memory.pool._idle.values()))
    fault(engine, chance, latest.token_ids.tolist(), latest.buffer)


def prompts(engine: Engine, tokenizer: PreTrainedTokenizerBase, rng: Random, turns: int) -> Iterator[list[int]]:
    """The generator's own replies stand in for the model's, so that a dialogue is the same in every format."""
    messages: list[dict[str, str]] = []
    del engine
    for turn in islice(dialogue(rng, "held_out", FACTS), turns):
        messages.append({"role": "user", "content": turn.user})
        text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        yield tokenizer.encode(text, add_special_tokens=False)
        messages.append({"role": "assistant", "content": turn.assistant})


def say(engine: Engine, prompt: list[int]) -> None:
    """A turn, and its audit if it reused anything."""
    before = num_audits(engine)
    report = engine.generate(GenerationRequest(tuple(prompt), GREEDY)).report
    if report.control is not None:
        wait_until(lambda: num_audits(engine) > before, "the audit did not come to an end", seconds=120)


def on_engine_thread(engine: Engine, call: Callable[[], None]) -> None:
    done = threading.Event()
    engine._inbox.put(call)
    engine._inbox.put(done.set)
    done.wait()


def faults(dtype: str) -> dict[str, Fault]:
    bits = range(30, 22, -1) if dtype == "float32" else range(14, 6, -1)
    return {
        "all positions one off": shifted(None),
        "one block's positions one off": shifted(32),
        "two layers swapped": swapped,
        "weights 1% off": other_weights(0.01),
        "weights 3% off": other_weights(0.03),
        **{f"exponent bit {number}": flipped(bit) for number, bit in enumerate(bits)},
        "lowest bit": flipped(0),
    }


def shifted(num_tokens: int | None) -> Fault:
    def fault(engine: Engine, chance: Random, token_ids: list[int], buffer: KVBuffer) -> None:
        wrong = recomputed(engine, token_ids, shift=1)
        start = 0 if num_tokens is None else chance.randrange(max(len(token_ids) - num_tokens, 1))
        stop = len(token_ids) if num_tokens is None else start + num_tokens
        for layer in range(len(buffer.layout.layers)):
            buffer.layer(layer)[0][:, start:stop] = wrong.layer(layer)[0][:, start:stop]

    return fault


def swapped(_: Engine, chance: Random, token_ids: list[int], buffer: KVBuffer) -> None:
    first, second = chance.sample(range(len(buffer.layout.layers)), 2)
    del token_ids
    for one, other in zip(buffer.layer(first), buffer.layer(second), strict=True):
        kept = one.clone()
        one.copy_(other)
        other.copy_(kept)


def other_weights(scale: float) -> Fault:
    """State of weights that differ at random by so much of their own size."""

    def fault(engine: Engine, chance: Random, token_ids: list[int], buffer: KVBuffer) -> None:
        generator = torch.Generator().manual_seed(chance.randrange(2**31))
        parameters = list(engine._runner.generic._model.parameters())
        kept = [parameter.detach().clone() for parameter in parameters]
        with torch.no_grad():
            for parameter in parameters:
                noise = torch.randn(parameter.shape, generator=generator) * parameter.float().std() * scale
                parameter.add_(noise.to(parameter.dtype))
            wrong = recomputed(engine, token_ids)
            for parameter, before in zip(parameters, kept, strict=True):
                parameter.copy_(before)
        buffer.copy_prefix(wrong, len(token_ids))

    return fault


def flipped(bit: int) -> Fault:
    """In one number of K or V, anywhere."""

    def fault(_: Engine, chance: Random, token_ids: list[int], buffer: KVBuffer) -> None:
        part = chance.choice(buffer.layer(chance.randrange(len(buffer.layout.layers))))
        numbers = part.view(torch.int32 if part.dtype == torch.float32 else torch.int16)
        head, dim = chance.randrange(part.shape[0]), chance.randrange(part.shape[2])
        numbers[head, chance.randrange(len(token_ids)), dim] ^= 1 << bit

    return fault


@torch.inference_mode()
def recomputed(engine: Engine, token_ids: list[int], shift: int = 0) -> KVBuffer:
    buffer = engine._runner.buffer(len(token_ids))
    batch = Batch.of([Work(buffer, token_ids, wants_logits=False)])
    shifted = dataclasses.replace(batch, positions=[position + shift for position in batch.positions])
    engine._runner.generic.run(shifted)
    buffer.length = len(token_ids)
    return buffer


def summary(verdicts: list[Verdict]) -> dict[str, Any]:
    deviations = [min(verdict.deviation, 1e9) for verdict in verdicts if verdict.deviation is not None]
    results = [verdict.result.value for verdict in verdicts]
    quantiles = [float(value) for value in np.quantile(deviations, (0, 0.1, 0.5, 0.9, 1))] if deviations else []
    return {
        "audits": len(verdicts),
        **{result: results.count(result) for result in ("clean", "breach", "inconclusive")},
        "deviation": [float(f"{value:.3g}") for value in quantiles],
        "floor": verdicts[-1].floor if verdicts else None,
    }


def show(dtype: str, name: str, figures: dict[str, Any]) -> None:
    print(f"{dtype:>8}  {name:<30} {figures['breach']:>5} of {figures['audits']:<5} {figures['deviation']}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
