"""Every way to keep weights multiplies with the same weights: within rounding of a product in float64."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional

from warmturn_server.engine.model.products.dense import dense
from warmturn_server.engine.model.products.packed import PackedProduct, can_pack
from warmturn_server.engine.model.products.plain import PlainProduct
from warmturn_server.engine.model.products.prepacked import PrepackedProduct, can_prepack
from warmturn_server.engine.model.products.product import MakeProduct, Product, stacked

IN = 96
ROWS = (1, 3, 16, 70)
ROUNDING = {torch.float32: 1e-6, torch.bfloat16: 2**-8}


@dataclass(frozen=True)
class Way:
    make: MakeProduct
    dtype: torch.dtype
    kind: str


def plain(linears: Sequence[nn.Linear]) -> Product:
    return PlainProduct(*stacked(linears))


def prepacked(linears: Sequence[nn.Linear]) -> Product:
    return PrepackedProduct(*stacked(linears))


def packed(linears: Sequence[nn.Linear]) -> Product:
    weight, bias = stacked(linears)
    if not can_pack(weight):
        pytest.skip("this processor's weights are not packed")
    return PackedProduct(weight, bias)


WAYS = (
    Way(plain, torch.float32, "plain"),
    Way(plain, torch.bfloat16, "plain"),
    Way(prepacked, torch.bfloat16, "prepacked"),
    Way(packed, torch.float32, "packed"),
    Way(packed, torch.bfloat16, "packed"),
)
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.kind}-{way.dtype}")


def layers(dtype: torch.dtype, *sizes: int, bias: Sequence[bool] = ()) -> list[nn.Linear]:
    torch.manual_seed(len(sizes))
    with_bias = [*bias, *[False] * len(sizes)]
    return [nn.Linear(IN, size, bias=biased, dtype=dtype) for size, biased in zip(sizes, with_bias, strict=False)]


def inputs(rows: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(rows, IN, generator=torch.Generator().manual_seed(rows)).to(dtype)


def exactly(linears: Sequence[nn.Linear], x: torch.Tensor) -> torch.Tensor:
    """In float64, of the very weights."""
    weights, biases = [linear.weight.double() for linear in linears], [linear.bias for linear in linears]
    pairs = zip(weights, [None if bias is None else bias.double() for bias in biases], strict=True)
    return torch.cat([functional.linear(x.double(), *pair) for pair in pairs], dim=-1)


@torch.inference_mode()
def assert_multiplies(product: Product, linears: Sequence[nn.Linear], dtype: torch.dtype) -> None:
    for rows in ROWS:
        x = inputs(rows, dtype)
        got, expected = product(x), exactly(linears, x)
        assert got.dtype is dtype
        assert (got - expected).norm() < ROUNDING[dtype] * expected.norm()


@every_way
def test_one_layer(way: Way) -> None:
    linears = layers(way.dtype, 64)
    product = way.make(linears)
    assert product.kind == way.kind
    assert product.num_bytes == 64 * IN * way.dtype.itemsize
    assert_multiplies(product, linears, way.dtype)


@every_way
def test_layers_of_one_input_are_one_product(way: Way) -> None:
    linears = layers(way.dtype, 64, 32, 32)
    assert_multiplies(way.make(linears), linears, way.dtype)


@every_way
@pytest.mark.parametrize("bias", [(True, True), (True, False), (False, True)])
def test_each_has_its_own_bias_or_none(way: Way, bias: tuple[bool, bool]) -> None:
    linears = layers(way.dtype, 64, 32, bias=bias)
    product = way.make(linears)
    of_bias = 4 if way.kind == "packed" else way.dtype.itemsize
    assert product.num_bytes == 96 * IN * way.dtype.itemsize + 96 * of_bias
    assert_multiplies(product, linears, way.dtype)


@every_way
@torch.inference_mode()
def test_leading_dimensions_stay(way: Way) -> None:
    product = way.make(layers(way.dtype, 32))
    x = inputs(6, way.dtype)
    assert product(x.view(1, 2, 3, IN)).shape == (1, 2, 3, 32)


def test_outputs_that_fill_no_tile_and_inputs_that_fill_no_unit() -> None:
    linears = layers(torch.bfloat16, 43)
    assert_multiplies(packed(linears), linears, torch.bfloat16)
    assert not can_pack(torch.zeros(32, 7, dtype=torch.bfloat16))


@pytest.mark.parametrize("dtype", ROUNDING)
@torch.inference_mode()
def test_a_packed_row_has_the_same_bits_whatever_is_beside_it(dtype: torch.dtype) -> None:
    """Sums are what rounding leaves of them, which another order of summation would change."""
    [linear], x = layers(dtype, 96), inputs(70, dtype)
    linear.weight[:, IN // 2 :], x[:, IN // 2 :] = linear.weight[:, : IN // 2], -x[:, : IN // 2]
    product = packed([linear])
    whole = product(x)
    for count in (1, 2, 11, 12, 13, 25, 69):
        assert torch.equal(product(x[70 - count :]), whole[70 - count :])


@pytest.mark.parametrize("dtype", ROUNDING)
def test_rows_of_a_packed_weight_are_read_as_they_were(dtype: torch.dtype) -> None:
    [linear] = linears = layers(dtype, 70)
    product, numbers = packed(linears), torch.tensor([[0, 69, 31], [32, 33, 5]])
    assert isinstance(product, PackedProduct)
    assert torch.equal(product.rows(numbers), linear.weight[numbers])


def test_what_this_processor_is_best_at_is_chosen() -> None:
    """Elsewhere only bfloat16 on a CPU is prepacked."""
    weights = {dtype: layers(dtype, 32)[0].weight for dtype in ROUNDING}
    if can_pack(weights[torch.bfloat16]):
        packs = {dtype for dtype in ROUNDING if can_pack(weights[dtype])}
        assert {dense(layers(dtype, 32)).kind for dtype in packs} == {"packed"}
    else:
        assert dense(layers(torch.float32, 32)).kind == "plain"
        there = can_prepack(weights[torch.bfloat16])
        assert dense(layers(torch.bfloat16, 32)).kind == ("prepacked" if there else "plain")
