"""Compiled kernels say what the generic executor says; where there are none, that is told."""

import ctypes
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from tests.support.models import FAMILY, SERVED, TinyModels
from tests.support.programs import program

from warmturn_server.engine import ModelRunner, Work, load_model
from warmturn_server.engine.model.batch import Batch
from warmturn_server.engine.model.capture import Queries
from warmturn_server.engine.model.compiled import compiling
from warmturn_server.engine.model.exact.check import refuse_if_inexact
from warmturn_server.engine.model.native.kernels import all_packed
from warmturn_server.engine.model.products.few_bits import WeightKind
from warmturn_server.kvcache import KVBuffer

FAMILIES = sorted({*SERVED, *FAMILY} - {"gpt2", "gpt_oss"})
HISTORIES = (1, 30, 255, 256, 257, 700)
"""Within the span of keys that a thread looks at in one go, at its bounds, and over several."""


@pytest.fixture(autouse=True)
def _compiler() -> None:
    program("c++")


def runner_of(
    tiny_models: TinyModels, architecture: str = "llama", dtype: str = "float32", weights: WeightKind = "auto"
) -> ModelRunner:
    loaded = load_model(str(tiny_models(architecture)), device="cpu", dtype=dtype, max_context=None)
    runner = ModelRunner(loaded, weights=weights)
    assert (runner.executors[-1].kind, runner.declined) == ("native", {})
    return runner


def random_state(runner: ModelRunner, num_tokens: int, seed: int) -> KVBuffer:
    buffer, generator = runner.buffer(num_tokens + 64), torch.Generator().manual_seed(seed)
    for layer in range(len(runner.layout.layers)):
        for part in buffer.layer(layer):
            part.copy_(torch.randn(part.shape, generator=generator))
    buffer.length = num_tokens
    return buffer


def works(runner: ModelRunner, sizes: Sequence[int]) -> list[Work]:
    """One sequence for each history, and so many new tokens of it."""
    return [
        Work(random_state(runner, history, history), list(range(20, 20 + size)), rows=range(size - 1))
        for history, size in zip(HISTORIES, sizes, strict=True)
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_batch_of_all_kinds_says_what_the_generic_executor_says(
    tiny_models: TinyModels, architecture: str, dtype: str
) -> None:
    """One that decodes, drafts of several tokens and a prefill, after short and long histories."""
    runner = runner_of(tiny_models, architecture, dtype)
    tolerance = 1e-4 if dtype == "float32" else 0.05
    for sizes in ((1, 1, 1, 1, 1, 1), (1, 4, 8, 1, 3, 20)):
        step = works(runner, sizes)
        expected, got = runner.generic.forward(works(runner, sizes)), runner.forward(step)
        assert runner.kind == "native"
        assert (expected - got).norm() <= tolerance * expected.norm()
        assert [work.buffer.length for work in step] == [a + b for a, b in zip(HISTORIES, sizes, strict=True)]


def test_who_wants_queries_gets_them(tiny_models: TinyModels) -> None:
    runner = runner_of(tiny_models)
    seen = list[Queries]()
    for forward in (runner.forward, runner.generic.forward):
        [work, *_] = works(runner, (3, 1, 1, 1, 1, 1))
        work.queries = Queries(1)
        forward([work])
        seen.append(work.queries)
    assert torch.allclose(seen[0].of_layer(1), seen[1].of_layer(1), atol=1e-4)
    assert seen[0].of_layer(1).shape[1] == 3


def test_state_that_is_no_numbers_is_not_passed_over(tiny_models: TinyModels) -> None:
    """Not even where one thread looks at nothing else: the turn has to fail."""
    runner = runner_of(tiny_models)
    buffer = random_state(runner, 300, 0)
    buffer.layer(1)[0][:, :256] = torch.nan
    assert runner.forward([Work(buffer, [20])]).isnan().all()


def test_a_row_has_the_same_bits_whoever_is_beside_it(tiny_models: TinyModels) -> None:
    """What the kernels compute; products are torch's where weights are not packed, and may sum otherwise."""
    runner = runner_of(tiny_models, "llama", "bfloat16")
    native = runner.executors[-1]
    for number in range(len(HISTORIES)):
        together, alone = (works(runner, [1] * 6) for _ in range(2))
        seen = _attention_of(native, together)[number]
        assert torch.equal(seen, _attention_of(native, [alone[number]])[0])


def _attention_of(native: object, step: list[Work]) -> torch.Tensor:
    qkv = torch.stack([torch.full((8 * 16,), 0.01 * work.buffer.length) for work in step]).bfloat16()
    attended: torch.Tensor = native._attended(1, qkv, native.prepared(Batch.of(step)))  # type: ignore[attr-defined]
    return attended


@pytest.mark.parametrize(
    ("architecture", "weights"),
    [
        *((name, "auto") for name in ("llama", "gemma3", "mistral_sliding", "qwen3")),
        ("llama", "int8"),
        ("qwen3", "int4"),
    ],
)
def test_with_packed_weights_the_same_tokens_in_other_pieces_give_the_same_bits(
    tiny_models: TinyModels, architecture: str, weights: WeightKind
) -> None:
    runner = runner_of(tiny_models, architecture, "bfloat16", weights)
    if not all_packed(runner.executors[-1]._model.layers):  # type: ignore[attr-defined]
        pytest.skip("this processor's weights are not packed")
    refuse_if_inexact(runner, runner.vocab_size, runner.context_length, runner.buffer)


@pytest.fixture
def forgotten() -> Iterator[None]:
    compiling.compiled.cache_clear()
    yield
    compiling.compiled.cache_clear()


@pytest.mark.usefixtures("forgotten")
def test_without_a_compiler_it_is_said_and_served(
    tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with caplog.at_level(logging.WARNING):
        loaded = load_model(str(tiny_models()), device="cpu", dtype="float32", max_context=None)
        runner = ModelRunner(loaded)
    assert runner.executors[-1].kind == "lean"
    assert "no C++ compiler" in runner.declined["native"]
    assert caplog.text.count("no C++ compiler") == 1


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["auto", "int8", "int4"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.usefixtures("forgotten")
def test_clang_makes_the_same_bits(
    tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch, dtype: str, weights: WeightKind
) -> None:
    said = list[torch.Tensor]()
    for compiler in ("g++", "clang++"):
        monkeypatch.setenv("CXX", str(program(compiler)))
        compiling.compiled.cache_clear()
        runner = runner_of(tiny_models, "gemma3", dtype, weights)
        said += [runner.forward(works(runner, sizes)) for sizes in ((1, 1, 1, 1, 1, 1), (1, 4, 8, 1, 3, 20))]
    assert all(map(torch.equal, said[:2], said[2:]))


@pytest.mark.usefixtures("forgotten")
def test_what_cannot_be_compiled_is_declined_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "kernels.cpp"
    broken.write_text("this is no program")
    monkeypatch.setattr(compiling, "_SOURCE", broken)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(compiling.NotCompiled, match=r"could not be compiled: .*error"):
        compiling.compiled(torch.float32)


@pytest.mark.usefixtures("forgotten")
def test_it_is_compiled_once_and_never_taken_from_where_others_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert isinstance(compiling.compiled(torch.float32), ctypes.CDLL)
    [folder] = tmp_path.rglob("native")
    [built] = folder.glob("*.so")
    before = built.stat().st_mtime_ns
    compiling.compiled.cache_clear()
    compiling.compiled(torch.float32)
    assert [path.stat().st_mtime_ns for path in folder.iterdir()] == [before]
    folder.chmod(0o777)
    compiling.compiled.cache_clear()
    with pytest.raises(compiling.NotCompiled, match="others can write"):
        compiling.compiled(torch.float32)
