"""Models whose weights are in eight or four bits: proved at load, told, and of state that is nobody else's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.engines import greedy, running_engine
from tests.support.models import TinyModels
from torch import nn

from warmturn_server import bundled
from warmturn_server.engine import ModelRunner, Work, load_model
from warmturn_server.engine.model.loader import LoadedModel
from warmturn_server.engine.model.products.few_bits import WeightKind
from warmturn_server.engine.model.products.int4 import Int4Codes
from warmturn_server.engine.model.runner import ExecutorName
from warmturn_server.engine_api import ReuseMode
from warmturn_server.errors import ModelRefused

PROMPT = tuple(range(10, 60))
KINDS: tuple[WeightKind, ...] = ("int8", "int4")
every_kind = pytest.mark.parametrize("kind", KINDS)


def loaded(tiny_models: TinyModels, architecture: str, dtype: str = "float32") -> LoadedModel:
    return load_model(str(tiny_models(architecture)), device="cpu", dtype=dtype, max_context=None)


def logits(runner: ModelRunner) -> torch.Tensor:
    return runner.forward([Work(runner.buffer(), PROMPT)])[0]


@every_kind
@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [
        *((name, dtype) for name in ("llama", "gemma2", "qwen3", "gpt2") for dtype in ("float32", "bfloat16")),
        ("gpt_oss", "float32"),  # in bfloat16 rounding alone sends tokens of a random model to other experts
    ],
)
def test_every_executor_computes_with_what_the_bits_say(
    tiny_models: TinyModels, kind: WeightKind, architecture: str, dtype: str
) -> None:
    """It was compared with the model's own modules on the same weights when it was made; here with its own ones."""
    executors: tuple[ExecutorName, ...] = ("generic", "lean", "auto")
    runners = [ModelRunner(loaded(tiny_models, architecture, dtype), executor, kind) for executor in executors]
    generic, lean, fastest, own = map(logits, (*runners, ModelRunner(loaded(tiny_models, architecture, dtype))))
    assert runners[1].kind == ("generic" if architecture.startswith("gpt") else "lean")
    in_bfloat16 = {"int8": 0.05, "int4": 0.1}  # in four bits activations are rounded to eight besides
    near = 1e-4 if dtype == "float32" else in_bfloat16[kind]
    assert (lean - generic).norm() < near * generic.norm()
    assert (fastest - generic).norm() < near * generic.norm()
    assert (generic - own).norm() > {"int8": 0.001, "int4": 0.02}[kind] * own.norm()
    assert runners[0].about()["weights"] == kind
    assert (runners[0].about()["layers_in_dtype"] == 0) is not architecture.startswith("gpt")


@every_kind
def test_the_bundled_model_is_proved_in_bfloat16(kind: WeightKind) -> None:
    """Where single tokens of random text are off by 17% from rounding alone."""
    model = load_model(str(bundled.path()), device="cpu", dtype="bfloat16", max_context=None)
    assert ModelRunner(model, weights=kind).declined == {}


def test_tied_embeddings_are_looked_up_as_they_were(tiny_models: TinyModels) -> None:
    """The head is a product, its table is not: what the model reads keeps all its bits."""
    model = loaded(tiny_models, "gemma2")
    head = model.model.get_output_embeddings()  # type: ignore[no-untyped-call]
    head.weight = model.model.get_input_embeddings().weight
    table = head.weight
    before = table.detach().clone()
    runner = ModelRunner(model, weights="int4")
    assert model.model.get_input_embeddings().weight is table
    assert torch.equal(table, before)  # type: ignore[arg-type]
    assert runner.products["lm_head"].kind == "int4"
    x = torch.randn(2, before.shape[1], generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(runner.products["lm_head"](x), x @ Int4Codes.of(before).dequantised().T)


def test_tied_embeddings_are_in_memory_once(tiny_models: TinyModels) -> None:
    """Where the head is packed they are looked up in it."""
    model = loaded(tiny_models, "llama")
    head: Any = model.model.get_output_embeddings()  # type: ignore[no-untyped-call]
    table = model.model.get_input_embeddings()
    assert isinstance(head, nn.Linear)
    assert isinstance(table, nn.Embedding)
    head.weight = table.weight
    before = table.weight.detach().clone()
    runner = ModelRunner(model)
    now: Any = model.model.get_input_embeddings()
    assert torch.equal(now(torch.arange(len(before))), before)
    if runner.products["lm_head"].kind == "packed":
        assert torch.equal(now.weight, before)
        assert runner.weights.resident_bytes <= runner.weights.loaded_bytes * 1.01


@every_kind
def test_weights_that_mean_something_else_are_refused(
    tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch, kind: WeightKind
) -> None:
    """The whole model is compared with its own modules, on the weights that the codes say."""
    from warmturn_server.engine.model.products.few_bits import FewBits

    call = FewBits.__call__
    monkeypatch.setattr(FewBits, "__call__", lambda self, linears: call(self, linears[::-1]))
    with pytest.raises(ModelRefused, match="other logits"):
        ModelRunner(loaded(tiny_models, "llama"), weights=kind)


@every_kind
def test_state_says_the_same_as_computing_anew(tiny_models: TinyModels, tmp_path: Path, kind: WeightKind) -> None:
    with running_engine(tiny_models(), tmp_path, weights=kind, executor="auto") as engine:
        said = engine.generate(greedy(PROMPT, 20))
        longer = (*PROMPT, *said.token_ids, 7, 8, 9)
        kept, anew = (engine.generate(greedy(longer, 20, mode)) for mode in (ReuseMode.STATE, ReuseMode.PROMPT))
    assert kept.report.cached_tokens > len(PROMPT)
    assert kept.token_ids == anew.token_ids


@pytest.mark.parametrize(("first", "then"), [("int4", "auto"), ("auto", "int4"), ("int8", "int4")])
def test_state_of_other_bits_is_a_miss(tiny_models: TinyModels, tmp_path: Path, first: str, then: str) -> None:
    reused = []
    for kind in (first, first, then):
        with running_engine(tiny_models(), tmp_path, weights=kind) as engine:
            reused.append(engine.generate(greedy(PROMPT, 4)).report.cached_tokens)
    assert reused[1] > 0, "it would have been found"
    assert reused[2] == 0
