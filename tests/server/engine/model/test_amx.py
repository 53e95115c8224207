"""Products by Intel's AMX, emulated: right for every shape, a row's bits its own, not trusted before they are tried."""

import logging
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tests.support.models import TinyModels
from tests.support.programs import program
from torch.nn import functional

from warmturn_server.doctor import examine
from warmturn_server.engine import ModelRunner, load_model
from warmturn_server.engine.model.compiled import amx, compiling
from warmturn_server.engine.model.products.packed import PackedProduct, can_pack
from warmturn_server.settings import Settings

EMULATED = Path(__file__).parents[3] / "support" / "native" / "emulated_amx.h"
ROUNDING = 2**-8
pytestmark = pytest.mark.slow
"""Each way that it is compiled takes seconds, once for a cache folder."""
FLAGS = compiling._FLAGS
Emulate = Callable[..., None]


@pytest.fixture
def emulate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulate]:
    """The kernels as they are compiled where there is AMX, but for its instructions; `broken` as the header says."""
    if platform.machine() != "x86_64":
        pytest.skip("what is emulated is given vectors as x86 has them")
    program("c++")
    _forget()
    monkeypatch.delenv(amx.SWITCH, raising=False)

    def start(broken: int = 0) -> None:
        monkeypatch.setattr(compiling, "_FLAGS", (*FLAGS, "-include", str(EMULATED)))
        monkeypatch.setenv("BROKEN_AMX", str(broken))
        _forget()

    yield start
    _forget()


def _forget() -> None:
    compiling.compiled.cache_clear()
    amx.why_not_amx.cache_clear()


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).bfloat16()


@pytest.mark.parametrize(("inputs", "outputs"), [(32, 1), (96, 43), (576, 100), (1024, 64), (80, 33), (4, 7)])
def test_products_are_right(emulate: Emulate, inputs: int, outputs: int) -> None:
    """Of inputs that fill a tile of AMX and of others, which go another way for every number of rows."""
    emulate()
    assert amx.uses_amx(torch.bfloat16) and amx.why_not_amx(torch.bfloat16) is None
    weight, bias, x = numbers(outputs, inputs), numbers(outputs), numbers(301, inputs)
    product = PackedProduct(weight, bias)
    whole, expected = product(x), functional.linear(x.double(), weight.double(), bias.double())
    assert ((whole - expected).abs() <= ROUNDING * expected.abs() + 1e-6 * inputs).all()


@pytest.mark.parametrize(("inputs", "outputs"), [(32, 1), (96, 43), (576, 100), (1024, 64), (80, 33), (4, 7)])
def test_rows_have_bits_of_their_own(emulate: Emulate, inputs: int, outputs: int) -> None:
    """Sums are what rounding leaves of them, which any other order of summation would change."""
    emulate()
    weight, x = numbers(outputs, inputs // 2).repeat(1, 2), numbers(301, inputs // 2)
    x = torch.cat([x, -x], dim=1)
    product = PackedProduct(weight, None)
    whole = product(x)
    for count in (1, 2, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 255, 256, 257, 300):
        assert torch.equal(product(x[301 - count :]), whole[301 - count :])


def test_pieces_of_a_model_give_the_same_bits_in_a_state_of_amx(emulate: Emulate, tiny_models: TinyModels) -> None:
    """At load every piece is tried; state that was summed in another order is not gone on from bit for bit."""
    emulate()
    loaded = load_model(str(tiny_models()), device="cpu", dtype="bfloat16", max_context=None)
    runner = ModelRunner(loaded, exact=True)
    assert runner.executors[-1].kind == "native"
    assert "with AMX" in runner.arithmetic


@pytest.mark.parametrize(
    ("broken", "why"), [(1, "ended with SIGILL"), (2, "something else"), (3, "does not let programs use them")]
)
def test_what_fails_its_trial_is_left_to_torch(
    emulate: Emulate, broken: int, why: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulate(broken)
    with caplog.at_level(logging.WARNING):
        assert not can_pack(numbers(32, 32)) and not can_pack(numbers(64, 64))
    assert caplog.text.count(why) == 1
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    [finding] = [one for one in examine(Settings()) if one.name == "matrix products"]
    assert finding.verdict == "slow" and why in finding.value


def test_it_can_be_switched_off(emulate: Emulate, monkeypatch: pytest.MonkeyPatch) -> None:
    emulate()
    monkeypatch.setenv(amx.SWITCH, "off")
    assert not can_pack(numbers(32, 32))
    assert amx.why_not_amx(torch.bfloat16) == "WARMTURN_AMX=off"


def test_where_there_is_none_nothing_is_tried(emulate: Emulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of floats nothing goes by AMX, emulated or not."""
    emulate()

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    compiling.compiled(torch.float32)
    monkeypatch.setattr(subprocess, "run", never)
    assert amx.why_not_amx(torch.float32) is None and not amx.uses_amx(torch.float32)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_real_instructions_compile(compiler: str, tmp_path: Path) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("only x86 has them")
    made = tmp_path / "kernels.s"
    flags = [flag for flag in FLAGS if flag != compiling._NATIVE]
    subprocess.run(
        [program(compiler), *flags, "-march=sapphirerapids", "-w", "-S", str(compiling._SOURCE), "-o", made], check=True
    )
    assert _used(made.read_text()) == {"ldtilecfg", "tilerelease", "tilezero", "tileloadd", "tilestored", "tdpbf16ps"}


def _used(assembly: str) -> set[str]:
    return {word for word in assembly.split() if word.startswith(("tdp", "tile", "ldtile"))}
