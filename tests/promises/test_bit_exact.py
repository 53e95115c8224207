"""Promise 1 with `--exact`: saved state and full recomputation agree to the last bit, in every dtype."""

from pathlib import Path

import pytest
import torch
from tests.benchmarks.exactly import compared
from tests.support.engines import greedy, running_engine
from tests.support.exactly import where_it_can_be_kept
from tests.support.models import TinyModels

from warmturn_server.engine import ModelRunner, load_model
from warmturn_server.engine.model.compiled.amx import kernels_multiply
from warmturn_server.engine.model.exact import products
from warmturn_server.engine.model.exact.products import ExactProducts, FixedRows
from warmturn_server.engine.model.products.dense import dense
from warmturn_server.engine.model.products.few_bits import WeightKind
from warmturn_server.engine.model.runner import ExecutorName
from warmturn_server.errors import ModelRefused, StartRefused

both_dtypes = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


@pytest.mark.slow
@both_dtypes
def test_no_bit_differs_however_turns_are_cut_batched_and_restored(tiny_models: TinyModels, dtype: str) -> None:
    """`python -m tests.benchmarks.exactly` is the long form."""
    with where_it_can_be_kept():
        counts = compared(tiny_models(), dtype, 18, exact=True)
    assert counts["turns"] >= 18
    assert counts["reused"] > 100
    assert (counts["tokens differ"], counts["bits differ"]) == (0, 0)


@pytest.mark.parametrize("executor", ["auto", "lean"])
@both_dtypes
@pytest.mark.parametrize("architecture", ["llama", "qwen3", "mistral_sliding", "gemma3"])
def test_other_families_keep_their_bits_or_are_refused(
    tiny_models: TinyModels, architecture: str, dtype: str, executor: ExecutorName
) -> None:
    """At load every one is tried on prefills and pieces of them, beside another sequence."""
    loaded = load_model(str(tiny_models(architecture)), device="cpu", dtype=dtype, max_context=None)
    with where_it_can_be_kept():
        assert ModelRunner(loaded, executor, exact=True).about()["exact"]


@pytest.mark.parametrize("weights", ["int8", "int4"])
@both_dtypes
def test_weights_in_fewer_bits_keep_their_bits_or_are_refused(
    tiny_models: TinyModels, weights: WeightKind, dtype: str
) -> None:
    loaded = load_model(str(tiny_models()), device="cpu", dtype=dtype, max_context=None)
    with where_it_can_be_kept():
        runner = ModelRunner(loaded, weights=weights, exact=True)
        packed = kernels_multiply(runner.dtype)
        assert runner.executors[-1].kind == ("native" if packed else "lean")
        assert isinstance(runner.products["model.layers.0.mlp.down_proj"], FixedRows) is not packed


def test_what_cannot_be_exact_is_refused(tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch) -> None:
    for architecture, why in (("gpt2", "other executors"), ("gemma2", "caps its scores")):
        loaded = load_model(str(tiny_models(architecture)), device="cpu", dtype="float32", max_context=None)
        with pytest.raises(StartRefused, match=why):
            ModelRunner(loaded, "lean", exact=True)
    from warmturn_server.engine.model import runner
    from warmturn_server.engine.model.attention import look

    monkeypatch.setattr(runner, "look_exactly", look)
    loaded = load_model(str(tiny_models()), device="cpu", dtype="float32", max_context=None)
    with pytest.raises(ModelRefused, match="come out otherwise"):
        ModelRunner(loaded, "lean", exact=True)


def test_state_of_the_exact_mode_is_its_own(tiny_models: TinyModels, tmp_path: Path) -> None:
    reused = []
    for exact in (True, True, False):
        with where_it_can_be_kept(), running_engine(tiny_models(), tmp_path, executor="auto", exact=exact) as engine:
            reused.append(engine.generate(greedy(range(10, 60), 4)).report.cached_tokens)
    assert reused[1] > 0
    assert reused[2] == 0


class Moody:
    """Its bits depend on how many rows there are below a bound, as kernels for few rows do."""

    kind, num_bytes = "moody", 0

    def __init__(self, few: int, many: int = 10**6) -> None:
        self.few, self.many = few, many

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x * (1.0 + 1e-6 * (len(x) < self.few) + 2e-6 * (len(x) > self.many))


@pytest.mark.parametrize(
    ("few", "many", "bounds"),
    [
        (0, 10**6, (1, 512)),
        (3, 10**6, (4, 512)),
        (5, 10**6, (8, 512)),
        (0, 32, (1, 32)),
        (0, 9, (1, 8)),
        (5, 20, (16, 16)),
    ],
)
def test_rows_are_given_as_their_kernel_needs_them(few: int, many: int, bounds: tuple[int, int]) -> None:
    made = ExactProducts(lambda _: Moody(few, many))([torch.nn.Linear(8, 8)])
    assert isinstance(made, FixedRows)
    assert (made.least, made.most) == bounds


def test_where_no_bounds_hold_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product whose bits depend on its neighbours."""
    monkeypatch.setattr(Moody, "__call__", lambda _, x: x * x.mean())
    with pytest.raises(ModelRefused, match="--exact cannot be kept"):
        ExactProducts(lambda _: Moody(0))([torch.nn.Linear(8, 8)])
    assert products._ALWAYS == (16, 16)


@both_dtypes
@torch.inference_mode()
def test_padding_changes_no_number(dtype: str) -> None:
    linear = torch.nn.Linear(32, 16, dtype=getattr(torch, dtype))
    product = FixedRows(dense([linear]), 16, 16)
    for rows in (0, 1, 15, 16, 17, 40):
        x = torch.randn(1, rows, 32, generator=torch.Generator().manual_seed(rows)).to(linear.weight.dtype)
        torch.testing.assert_close(product(x), linear(x))
