"""Which models can be served correctly. Silently wrong is the one unforgivable outcome, so doubt means refusal."""

from __future__ import annotations

from typing import Any

from transformers import DynamicCache, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from ...errors import ModelRefused

_KNOWN_LAYER_TYPES = {"full_attention", "sliding_attention"}
_LENGTH_DEPENDENT_ROPE = {"dynamic", "longrope"}


def refuse_unsupported(model: PreTrainedModel) -> None:
    """Raise `ModelRefused` unless every layer's state is plain attention K and V of its own."""
    config = model.config
    text = config.get_text_config(decoder=True)
    name = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        raise ModelRefused(f"{name} is an encoder-decoder model; Warmturn serves causal language models")
    if getattr(model, "_is_stateful", False):
        raise ModelRefused(f"{name} keeps recurrent or convolution state, which Warmturn does not save yet")
    if not getattr(model, "_supports_attention_backend", False):
        raise ModelRefused(f"{name} does not route its attention through transformers' AttentionInterface")
    if getattr(text, "attention_chunk_size", None) and "chunked_attention" in (
        getattr(text, "layer_types", None) or []
    ):
        raise ModelRefused(f"{name} attends within fixed chunks, which Warmturn does not support yet")
    strange = set(getattr(text, "layer_types", None) or []) - _KNOWN_LAYER_TYPES
    if strange:
        raise ModelRefused(
            f"{name} has layers of type {', '.join(sorted(strange))}; only attention K/V can be saved yet"
        )
    _refuse_other_state(name, text)


def _refuse_other_state(name: str, text: PretrainedConfig) -> None:
    """What transformers itself would allocate tells, layer by layer."""
    layers = DynamicCache(config=text).layers
    foreign = {type(layer).__name__ for layer in layers if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer)}
    if foreign:
        raise ModelRefused(f"{name} keeps other state than attention K/V ({', '.join(sorted(foreign))})")
    if len(layers) != text.num_hidden_layers or getattr(text, "num_kv_shared_layers", None):
        raise ModelRefused(f"{name} shares K/V between layers, which Warmturn does not support yet")


def sliding_windows(config: PretrainedConfig, limit: int) -> list[int | None]:
    """For each layer the window that transformers' own cache and masks would apply to at most `limit` tokens."""
    layers = DynamicCache(config=config.get_text_config(decoder=True)).layers
    return [effective_window(getattr(layer, "sliding_window", None), limit) for layer in layers]


def effective_window(window: int | None, limit: int) -> int | None:
    """None where it is as wide as any sequence is long."""
    return window if window is not None and window < limit else None


def context_length(config: PretrainedConfig, max_context: int | None) -> int:
    """Tokens that a sequence may have; rope that changes with length would invalidate saved keys, so it ends there."""
    text = config.get_text_config(decoder=True)
    limit = getattr(text, "max_position_embeddings", None) or getattr(text, "n_positions", None)
    limits = [value for value in (limit, max_context, *_rope_limits(text)) if value]
    if not limits:
        raise ModelRefused(f"{config.model_type} does not say how long its context is; set --max-context")
    return int(min(limits))


def take_long_rope(config: PretrainedConfig, max_context: int | None) -> None:
    """Rotate by the long factors at every length where more is asked for than the short ones reach.

    A model with two sets of them (longrope) goes over to the long ones in mid-conversation, which makes all that was
    saved before wrong. So one set is chosen for good, and is part of the fingerprint; vLLM and llama.cpp do the same.
    """
    for rope in _ropes(config.get_text_config(decoder=True)):
        reach = int(rope.get("original_max_position_embeddings") or 0)
        has_one_scale = "long_mscale" not in rope  # PhiMoE has two
        if rope.get("rope_type") == "longrope" and 0 < reach < (max_context or 0) and has_one_scale:
            rope["short_factor"] = rope["long_factor"]


def _ropes(text: PretrainedConfig) -> list[dict[str, Any]]:
    rope = getattr(text, "rope_parameters", None) or {}
    return [rope] if "rope_type" in rope else [value for value in rope.values() if isinstance(value, dict)]


def _rope_limits(text: PretrainedConfig) -> list[int]:
    return [
        int(rope.get("original_max_position_embeddings") or text.max_position_embeddings)
        for rope in _ropes(text)
        if rope.get("rope_type") in _LENGTH_DEPENDENT_ROPE and rope.get("short_factor", 0) != rope.get("long_factor", 1)
    ]
