"""What a model's shape says about its cost: attention beside the products with weights."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from transformers import PreTrainedModel

from ...kvcache import LayerShape


def pair_cost(model: PreTrainedModel, layers: Sequence[LayerShape]) -> float:
    """What it costs a token to look at one other, in units of what all its products with weights cost.

    Both counted in floating point operations: two for each weight that a token meets, two for each number of the key
    and of the value in every query head (Kaplan et al., 2020, arXiv:2001.08361, table 1). The embedding is looked up,
    and the head computed for one token of a prefill only.
    """
    config = model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_attention_heads", None)
    per_pair = sum((heads or layer.kv_heads) * (layer.key_dim + layer.value_dim) for layer in layers)
    return per_pair / max(_weights_met(model, _share_of_experts(config)), 1)


def _weights_met(model: PreTrainedModel, share_of_experts: float) -> float:
    tables = {id(module.weight) for module in _tables(model)}
    weights = [weight for weight in model.parameters() if weight.dim() >= 2 and id(weight) not in tables]
    return sum(weight.numel() * (share_of_experts if weight.dim() == 3 else 1) for weight in weights)


def _tables(model: PreTrainedModel) -> list[nn.Module]:
    """The embeddings, and the head: what has a row for each token of the vocabulary."""
    found = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return [*found, *([head] if head is not None else [])]


def _share_of_experts(config: object) -> float:
    """Experts are stacked in one tensor of three dimensions, and a token meets a few of them."""
    used = getattr(config, "num_experts_per_tok", None)
    counts = (getattr(config, name, None) for name in ("num_experts", "num_local_experts", "n_routed_experts"))
    there = next((count for count in counts if count), None)
    return min(used / there, 1.0) if used and there else 1.0
