"""A model says the same when its linear layers are products, those of one input computed once for all of them."""

import torch
from torch import nn
from torch.nn import functional

from warmturn_server.engine.model.products.in_model import replace_linears
from warmturn_server.engine.model.products.parts import Parts
from warmturn_server.engine.model.products.plain import PlainProduct
from warmturn_server.engine.model.products.product import stacked


class Counted:
    """A product that counts how often it is computed."""

    def __init__(self, linears: list[nn.Linear]) -> None:
        self._product = PlainProduct(*stacked(linears))
        self.kind, self.num_bytes, self.times = "counted", self._product.num_bytes, 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.times += 1
        return self._product(x)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(16, 16), nn.Linear(16, 8), nn.Linear(16, 8, bias=False)
        self.o_proj = nn.Linear(16, 16)
        self.gate_proj, self.up_proj = nn.Linear(16, 24), nn.Linear(16, 24)
        self.down_proj = nn.Linear(24, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attended = torch.cat([self.k_proj(x), self.v_proj(x)], dim=-1) * self.q_proj(x)
        x = x + self.o_proj(attended)
        out: torch.Tensor = x + self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


@torch.inference_mode()
def test_layers_of_one_input_share_a_product() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Layer(), Layer())
    x = torch.randn(3, 16)
    expected = model(x)
    made = replace_linears(model, Counted)  # type: ignore[arg-type]
    assert set(made) == {f"{n}.{name}" for n in (0, 1) for name in ("q_proj", "gate_proj", "o_proj", "down_proj")}
    for times in (1, 2):
        torch.testing.assert_close(model(x), expected)
        assert {product.times for product in made.values()} == {times}  # type: ignore[attr-defined]


@torch.inference_mode()
def test_layers_that_get_other_inputs_after_all_are_right() -> None:
    torch.manual_seed(0)
    linears = [nn.Linear(8, 4), nn.Linear(8, 6)]
    parts = Parts(PlainProduct(*stacked(linears)), [4, 6])
    for _ in range(2):
        x, y = torch.randn(2, 8), torch.randn(2, 8)
        for part, given in ((0, x), (1, y), (1, x), (1, x), (0, y), (0, x)):
            torch.testing.assert_close(parts.take(part, given), linears[part](given))


def test_no_input_is_held_when_all_have_had_it() -> None:
    parts = Parts(PlainProduct(*stacked([nn.Linear(8, 4), nn.Linear(8, 6)])), [4, 6])
    x = torch.randn(2, 8)
    parts.take(0, x)
    parts.take(1, x)
    assert parts._input is None
    assert not parts._left


def test_a_layer_alone_that_would_be_plain_stays() -> None:
    model = Layer()
    replace_linears(model, lambda linears: PlainProduct(*stacked(linears)))
    assert type(model.o_proj) is nn.Linear
    assert type(model.q_proj) is not nn.Linear


def test_a_model_that_asks_a_layer_for_the_dtype_of_its_weights_is_told() -> None:
    model = nn.Sequential(Layer())
    replace_linears(model, Counted)  # type: ignore[arg-type]
    weight = model.get_submodule("0.k_proj").weight
    assert (weight.dtype, weight.shape, weight.is_meta) == (torch.float32, (8, 16), True)
    assert "0.k_proj.weight" not in dict(model.named_parameters())
