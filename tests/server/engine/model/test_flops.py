"""What attention costs beside products with weights, counted by hand for shapes that are simple."""

import pytest
from tests.support.models import SERVED, TinyModels
from transformers import AutoModelForCausalLM

from warmturn_server import bundled
from warmturn_server.engine import ModelRunner, load_model
from warmturn_server.engine.model.flops import pair_cost
from warmturn_server.kvcache import LayerShape


def test_of_the_bundled_model() -> None:
    """4 layers: four projections of 384 x 384 and three of 384 x 1024; 6 heads of 64."""
    loaded = load_model(str(bundled.path()), device="cpu", dtype="float32", max_context=None)
    weights = 4 * (4 * 384 * 384 + 3 * 384 * 1024)
    expected = 4 * 6 * (64 + 64) / weights
    assert ModelRunner(loaded).pair_cost == pytest.approx(expected, rel=0.001)


def test_neither_embedding_nor_head_counts_and_keys_may_have_fewer_heads_than_queries() -> None:
    """3 layers, hidden 64, 4 query heads on 2 of 16: 64 x (64 + 32 + 32 + 64), and 3 x 64 x 96."""
    model = AutoModelForCausalLM.from_config(SERVED["llama"]())  # type: ignore[no-untyped-call]
    layers = 3 * [LayerShape(2, 16, 16)]
    assert pair_cost(model, layers) == pytest.approx(3 * 4 * 32 / (3 * (64 * 192 + 3 * 64 * 96)), rel=0.001)


def test_of_experts_a_token_meets_a_few() -> None:
    """GPT-OSS: two of four."""
    model = AutoModelForCausalLM.from_config(SERVED["gpt_oss"]())  # type: ignore[no-untyped-call]
    experts = sum(weight.numel() for weight in model.parameters() if weight.dim() == 3)
    others = sum(
        weight.numel()
        for name, weight in model.named_parameters()
        if weight.dim() == 2 and "embed" not in name and "lm_head" not in name
    )
    expected = 3 * 4 * 32 / (others + experts / 2)
    assert pair_cost(model, 3 * [LayerShape(2, 16, 16)]) == pytest.approx(expected, rel=0.001)


@pytest.mark.parametrize("kind", SERVED)
def test_every_model_that_is_served_has_one(tiny_models: TinyModels, kind: str) -> None:
    loaded = load_model(str(tiny_models(kind)), device="cpu", dtype="float32", max_context=None)
    assert 1e-5 < pair_cost(loaded.model, loaded.layers) < 0.1
