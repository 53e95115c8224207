"""The lean executor: which models it takes, that it says what they say, and that a mistake in one layer is found."""

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.engines import all_at_once, greedy, running_engine
from tests.support.models import FAMILY, SERVED, TinyModels

from warmturn_server.engine import load_model
from warmturn_server.engine.model.lean import read
from warmturn_server.engine.model.lean.description import Description, Layer
from warmturn_server.engine.model.loader import LoadedModel
from warmturn_server.engine.model.runner import ModelRunner

OF_OTHERS = {"gpt2": "its layers are not where", "gpt_oss": "router"}
PROMPTS = tuple(tuple(range(first, first + 40)) for first in (10, 60, 110))


def loaded(tiny_models: TinyModels, architecture: str = "llama", dtype: str = "float32") -> LoadedModel:
    return load_model(str(tiny_models(architecture)), device="cpu", dtype=dtype, max_context=None)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", sorted({*SERVED, *FAMILY} - {*OF_OTHERS}))
def test_it_takes_the_whole_family(tiny_models: TinyModels, architecture: str, dtype: str) -> None:
    runner = ModelRunner(loaded(tiny_models, architecture, dtype), "lean")
    assert (runner.executors[-1].kind, runner.declined) == ("lean", {})


@pytest.mark.parametrize("architecture", OF_OTHERS)
def test_what_it_does_not_take_is_served_and_the_reason_told(
    tiny_models: TinyModels, architecture: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        runner = ModelRunner(loaded(tiny_models, architecture))
    assert runner.kind == "generic"
    assert OF_OTHERS[architecture] in runner.declined["lean"]
    assert OF_OTHERS[architecture] in caplog.text


def changed_layer(change: Callable[[Layer], Layer]) -> Callable[[Description], Description]:
    """The same mistake in the middle one of three layers."""

    def mistaken(right: Description) -> Description:
        first, middle, last = right.layers
        return dataclasses.replace(right, layers=(first, change(middle), last))

    return mistaken


def attention(layer: Layer, **changes: Any) -> Layer:
    return dataclasses.replace(layer, attention=dataclasses.replace(layer.attention, **changes))


MISTAKES: dict[str, tuple[str, Callable[[Layer], Layer]]] = {
    "no rope": ("llama", lambda layer: attention(layer, rope=None)),
    "another layer's rope": ("gemma3", lambda layer: attention(layer, rope=1 - (layer.attention.rope or 0))),
    "a norm forgotten": ("gemma2", lambda layer: dataclasses.replace(layer, out_norm=None)),
    "norms exchanged": ("llama", lambda layer: dataclasses.replace(layer, norm=layer.mlp_norm, mlp_norm=layer.norm)),
    "queries not normed": ("qwen3", lambda layer: attention(layer, query_norm=None)),
    "scaled otherwise": (
        "llama",
        lambda layer: attention(layer, scoring=dataclasses.replace(layer.attention.scoring, scale=0.3)),
    ),
    "no window": (
        "mistral_sliding",
        lambda layer: attention(layer, scoring=dataclasses.replace(layer.attention.scoring, window=None)),
    ),
    "no cap": (
        "gemma2",
        lambda layer: attention(layer, scoring=dataclasses.replace(layer.attention.scoring, softcap=None)),
    ),
    "gates last": ("llama", lambda layer: dataclasses.replace(layer, gate_up=Halves(layer.gate_up))),
}


class Halves:
    """A product whose halves are exchanged."""

    kind, num_bytes = "halves", 0

    def __init__(self, product: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._product = product

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        first, second = self._product(x).chunk(2, dim=-1)
        return torch.cat([second, first], dim=-1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_one_layer_is_found_and_told(
    tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch, mistake: str, dtype: str
) -> None:
    architecture, change = MISTAKES[mistake]
    describe = read.describe
    monkeypatch.setattr(
        "warmturn_server.engine.model.runner.describe", lambda *given: changed_layer(change)(describe(*given))
    )
    runner = ModelRunner(loaded(tiny_models, architecture, dtype))
    assert runner.kind == "generic"
    assert "layer 1 adds something else" in runner.declined["lean"]


def test_a_mistake_in_the_head_is_found(tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    describe = read.describe

    def mistaken(*given: object) -> Description:
        right = describe(*given)  # type: ignore[arg-type]
        return dataclasses.replace(right, head=dataclasses.replace(right.head, cap=None))

    monkeypatch.setattr("warmturn_server.engine.model.runner.describe", mistaken)
    assert "other logits" in ModelRunner(loaded(tiny_models, "gemma2")).declined["lean"]


def test_turns_say_who_computed_them(tiny_models: TinyModels, tmp_path: Path) -> None:
    said = []
    for asked, computes in (("lean", "lean"), ("generic", "generic")):
        with running_engine(tiny_models(), tmp_path, executor=asked) as engine:
            answers = all_at_once(engine, [greedy(prompt, 12) for prompt in PROMPTS])
            assert {answer.report.executor for answer in answers} == {computes}
            assert engine.stats()["executor"]["kind"] == computes  # type: ignore[index]
            said.append([answer.token_ids for answer in answers])
    assert said[0] == said[1]


@pytest.mark.parametrize(("dtype", "most"), [("float32", 1.01), ("bfloat16", 1.2)])
def test_weights_are_not_kept_twice(tiny_models: TinyModels, dtype: str, most: float) -> None:
    about = ModelRunner(loaded(tiny_models, "llama", dtype)).weights
    assert about.loaded_bytes <= about.resident_bytes <= most * about.loaded_bytes
