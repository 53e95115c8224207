"""Weights in eight and four bits: near the model's own, multiplied exactly, and left alone where they do not fit."""

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from torch import nn
from torch.nn import functional

from warmturn_server.engine.model.compiled.amx import kernels_multiply
from warmturn_server.engine.model.products import formats as module
from warmturn_server.engine.model.products.dense import dense
from warmturn_server.engine.model.products.few_bits import FewBits, WeightKind, few_bits
from warmturn_server.engine.model.products.in_model import replace_linears
from warmturn_server.engine.model.products.int4 import _HIGHEST, GROUP, Int4Codes, compiled_int4, int4_by_torch
from warmturn_server.engine.model.products.int8 import Int8Codes, compiled_int8
from warmturn_server.engine.model.products.int8_in_groups import (
    Int8GroupCodes,
    compiled_int8_in_groups,
    int8_in_groups_by_torch,
)
from warmturn_server.errors import ModelRefused, StartRefused

CPU = torch.device("cpu")
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 2**-7}
KINDS: tuple[WeightKind, ...] = ("int8", "int4")
every_kind = pytest.mark.parametrize("kind", KINDS)
both_dtypes = pytest.mark.parametrize("dtype", ROUNDING, ids=str)


class Layer(nn.Module):
    """Of a width that fits both kinds."""

    def __init__(self, dtype: torch.dtype = torch.float32, width: int = 64) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gate_proj, self.up_proj = (nn.Linear(width, 96, bias=False, dtype=dtype) for _ in range(2))
        self.down_proj = nn.Linear(96, width, dtype=dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


def relative(got: torch.Tensor, expected: torch.Tensor) -> float:
    return float((got.double() - expected.double()).norm() / expected.double().norm())


@both_dtypes
def test_codes_are_the_nearest_there_are(dtype: torch.dtype) -> None:
    weight = (torch.randn(48, 64, generator=torch.Generator().manual_seed(0)) * 0.05).to(dtype)
    eight, four = Int8Codes.of(weight), Int4Codes.of(weight)
    slack = 1.02 if dtype is torch.bfloat16 else 1.0001  # scales and zeros have the model's precision too
    assert ((eight.dequantised() - weight).abs() <= slack * eight.scales.float()[:, None] / 2).all()
    steps = four.scales.float().repeat_interleave(GROUP, dim=1)
    assert ((four.dequantised() - weight).abs() <= slack * steps / 2 + 2**-8 * weight.abs().max()).all()
    assert int(eight.codes.abs().max()) == 127
    assert (int(four.codes.min()), int(four.codes.max())) == (0, 15)
    assert relative(eight.dequantised(), weight) < 0.01
    assert 0.05 < relative(four.dequantised(), weight) < 0.1


def test_the_codes_of_a_gguf_file_in_four_bits_are_taken_as_they_are() -> None:
    """Q4_1 has the same groups, and reaches both ends of each: its numbers lead back to its codes."""
    kind, numbers = GGMLQuantizationType.Q4_1, torch.randn(48, 64, generator=torch.Generator().manual_seed(1))
    packed = quantize(numbers.numpy(), kind)
    halves = torch.from_numpy(packed).view(-1, 20)[:, 4:]  # behind a scale and a zero
    expected = torch.cat([halves & _HIGHEST, halves >> 4], dim=1).view(numbers.shape)
    assert torch.equal(Int4Codes.of(torch.from_numpy(dequantize(packed, kind))).codes, expected)


def test_a_row_of_zeros_stays_one() -> None:
    weight = torch.zeros(16, 32)
    assert not Int8Codes.of(weight).dequantised().any()
    assert not Int4Codes.of(weight).dequantised().any()


@every_kind
@both_dtypes
@pytest.mark.parametrize("compiled", [True, False])
@torch.inference_mode()
def test_what_is_multiplied_is_what_the_codes_say(kind: WeightKind, dtype: torch.dtype, compiled: bool) -> None:
    """By every way: few rows and many; so that no turn has other weights than its neighbour."""
    model, x = Layer(dtype), torch.randn(40, 64, generator=torch.Generator().manual_seed(1)).to(dtype)
    bits = FewBits(model, kind, compiled=compiled)
    with bits.meant():
        meant = model(x)
    assert relative(meant, model(x)) > 0.003, "the bits change nothing?"
    made = replace_linears(model, bits)
    assert {product.kind for product in made.values()} == {kind}
    for rows in (1, 8, 9, 16, 17, 40):
        assert relative(model(x[:rows]), meant[:rows]) < 3 * ROUNDING[dtype]
    assert model(x[:0]).shape == (0, 64)
    assert not bits._codes, "they are in memory twice"


@both_dtypes
def test_what_they_take(dtype: torch.dtype) -> None:
    """A byte, or half of one; where torch multiplies, beside four bits the weights of many rows."""
    own = dtype.itemsize
    for compiled in (True, False):
        made = {kind: replace_linears(m := Layer(dtype), FewBits(m, kind, compiled=compiled)) for kind in KINDS}
        beside = 0 if compiled and kernels_multiply(dtype) else 192 * 64 * own
        assert made["int8"]["gate_proj"].num_bytes == 192 * 64 + 192 * own
        assert made["int4"]["gate_proj"].num_bytes == 192 * 64 // 2 + 2 * 192 * 64 // GROUP * own + beside


@pytest.mark.parametrize(("kind", "width", "left"), [("int8", 40, 1), ("int4", 48, 1), ("int8", 48, 0)])
@torch.inference_mode()
def test_what_does_not_fit_stays_and_is_told(
    kind: WeightKind, width: int, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    model, x = Layer(width=width), torch.randn(3, width)
    with caplog.at_level(logging.WARNING):
        bits = few_bits(model, "it", kind, CPU)
    assert len(bits.left) == left
    assert ("does not divide" in caplog.text) is (left > 0)
    with bits.meant():
        meant = model(x)
    replace_linears(model, bits)
    assert relative(model(x), meant) < 1e-5


@both_dtypes
@pytest.mark.parametrize("inputs", [32, 96, 160])
@pytest.mark.parametrize("outputs", [16, 33, 80])
@torch.inference_mode()
def test_compiled_products_of_any_shape_are_what_every_code_says(dtype: torch.dtype, inputs: int, outputs: int) -> None:
    """All codes at random; groups odd in number, outputs that fill no tile, each with its own scale, zero, bias."""
    if not kernels_multiply(dtype):
        pytest.skip("this processor's weights are not packed")
    random = torch.Generator().manual_seed(inputs + outputs)
    x, bias = torch.randn(70, inputs, generator=random).to(dtype), torch.randn(outputs, generator=random).to(dtype)
    scales, zeros = torch.randn(2, outputs, inputs // GROUP, generator=random) * 0.01
    codes_4 = torch.randint(16, (outputs, inputs), generator=random, dtype=torch.uint8)
    codes_8 = torch.randint(-127, 128, (outputs, inputs), generator=random, dtype=torch.int8)
    four, eight = (
        Int4Codes(codes_4, scales.to(dtype), zeros.to(dtype)),
        Int8Codes(codes_8, scales[:, 0].to(dtype).contiguous()),
    )
    four_in_float, in_groups = Int4Codes(codes_4, scales, zeros), Int8GroupCodes(codes_8, scales)
    without_zeros = Int4Codes(codes_4, scales, torch.zeros_like(zeros))
    for codes, product in (
        (four, compiled_int4(four, bias, dtype)),
        (four_in_float, compiled_int4(four_in_float, bias, dtype)),
        (without_zeros, compiled_int4(without_zeros, bias, dtype)),
        (eight, compiled_int8(eight, bias, dtype)),
        (in_groups, compiled_int8_in_groups(in_groups, bias, dtype)),
    ):
        whole = product(x)
        meant = functional.linear(x.double(), codes.dequantised().double(), bias.double())
        assert relative(whole, meant) < ROUNDING[dtype]
        for count in (1, 2, 7, 16, 17, 69):
            assert torch.equal(product(x[70 - count :]), whole[70 - count :]), "a row's bits depend on its neighbours"


@both_dtypes
@pytest.mark.parametrize("with_zeros", [True, False])
@torch.inference_mode()
def test_what_is_no_number_is_passed_on_and_nothing_is_nothing(dtype: torch.dtype, with_zeros: bool) -> None:
    """Rounding a row's groups to whole numbers makes no number of what is none."""
    if not kernels_multiply(dtype):
        pytest.skip("this processor's weights are not packed")
    random = torch.Generator().manual_seed(4)
    codes, zeros = torch.randint(16, (32, 64), generator=random, dtype=torch.uint8), torch.rand(32, 2) * with_zeros
    product = compiled_int4(Int4Codes(codes, torch.rand(32, 2, generator=random) + 0.1, zeros), None, dtype)
    x = torch.randn(6, 64, generator=random).to(dtype)
    sound = product(x)
    x[1, 5], x[2, 40], x[3, 63], x[4] = float("nan"), float("inf"), float("-inf"), 0.0
    got = product(x)
    assert not got[1:4].isfinite().any()
    assert not got[4].any()
    assert torch.equal(got[::5], sound[::5])


@both_dtypes
@torch.inference_mode()
def test_scales_and_zeros_in_float_are_not_rounded_on_their_way(dtype: torch.dtype) -> None:
    """Nor the sums that zeros are multiplied with: two groups come to nearly nothing, and what remains is right."""
    if not kernels_multiply(dtype):
        pytest.skip("this processor's weights are not packed")
    random = torch.Generator().manual_seed(3)
    part = torch.randn(9, GROUP, generator=random).to(dtype)
    less = torch.cat([part[:, :1] - 0.125, part[:, 1:]], dim=1)
    codes = torch.randint(16, (48, GROUP), generator=random, dtype=torch.uint8).repeat(1, 2)
    near_one, near_300 = torch.rand(2, 48, 2, generator=random).mul(torch.tensor([1e-3, 1.0])[:, None, None])
    near_one, near_300 = near_one + 1.0, near_300 + 300.0
    scaled, by_zeros = Int4Codes(codes, near_one, torch.zeros(48, 2)), Int4Codes(codes, near_one / 1000, near_300)
    eight = Int8GroupCodes(codes.to(torch.int8), near_one)
    for said, product, other in (
        (scaled, compiled_int4(scaled, None, dtype), part),
        (eight, compiled_int8_in_groups(eight, None, dtype), part),
        (by_zeros, compiled_int4(by_zeros, None, dtype), less),
    ):
        x = torch.cat([part, -other], dim=1)
        meant = functional.linear(x.double(), said.dequantised().double())
        assert relative(product(x), meant) < (0.01 if dtype is torch.bfloat16 else 0.001)


@both_dtypes
@torch.inference_mode()
def test_where_torch_has_no_kernel_for_codes_they_are_numbers_of_the_dtype(dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(2)
    x, bias = torch.randn(20, 64, generator=random).to(dtype), torch.randn(16, generator=random).to(dtype)
    scales, zeros = torch.rand(2, 16, 2, generator=random)
    codes = torch.randint(16, (16, 64), generator=random, dtype=torch.uint8)
    four, eight = Int4Codes(codes, scales, zeros), Int8GroupCodes(codes.to(torch.int8), scales)
    made = ((four, int4_by_torch(four, bias, dtype)), (eight, int8_in_groups_by_torch(eight, bias, dtype)))
    assert [product.kind for _, product in made] == ["int4", "int8"]
    for said, product in made:
        meant = functional.linear(x.double(), said.dequantised().double(), bias.double())
        assert relative(product(x), meant) < ROUNDING[dtype]


def test_weights_unlike_others_stay() -> None:
    """Nothing but two of opposite sign in each group: even steps between them miss all the zeros."""
    model = Layer()
    with torch.no_grad():
        model.down_proj.weight.zero_()[:, ::GROUP] = 1.0
        model.down_proj.weight[:, 1::GROUP] = -1.0
    bits = FewBits(model, "int4")
    assert bits.left == {"down_proj": "its weights would be off by 26%"}
    assert {product.kind for product in replace_linears(model, bits).values()} == {
        "int4",
        dense([nn.Linear(GROUP, 32)]).kind,
    }


@every_kind
def test_a_kernel_that_multiplies_wrongly_is_refused(kind: WeightKind, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = module.MADE_HERE[kind]
    form = module.FORMATS[codes]

    def wrong(codes: Any, bias: torch.Tensor | None, dtype: torch.dtype) -> Any:
        product = form.by_torch(codes, bias, dtype)

        class Wrong:
            kind, num_bytes = product.kind, product.num_bytes

            def __call__(self, x: torch.Tensor) -> torch.Tensor:
                return product(x) * (1.05 if len(x) < 9 else 1.0)

        return Wrong()

    monkeypatch.setitem(module.FORMATS, codes, module.Format(kind, wrong, wrong, 1, 1, form.most_off))
    model = Layer()
    with pytest.raises(ModelRefused, match="wrongly"):
        replace_linears(model, FewBits(model, kind))


def test_what_cannot_be_is_refused_with_what_to_do() -> None:
    with pytest.raises(StartRefused, match="--weights int4 is made for the CPU"):
        few_bits(Layer(), "it", "int4", torch.device("cuda"))
    with pytest.raises(ModelRefused, match="24 outputs, which 16 does not divide"):
        few_bits(nn.Sequential(nn.Linear(32, 24)), "it", "int4", CPU)
    with pytest.raises(ModelRefused, match=r"none of it's weights can be kept in int4 .* leave out --weights"):
        few_bits(nn.Sequential(nn.Linear(40, 40)), "it", "int4", CPU)


def test_by_default_all_is_dense(caplog: pytest.LogCaptureFixture) -> None:
    model: Sequence[Any] = [few_bits(Layer(), "it", "auto", torch.device(device)) for device in ("cpu", "cuda")]
    assert [(bits.left, bits.version) for bits in model] == [({}, "own")] * 2
    assert not caplog.text
