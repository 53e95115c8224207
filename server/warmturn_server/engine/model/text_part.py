"""Models that also see or hear: what of them is a causal language model, and nothing else of them is kept."""

from __future__ import annotations

from typing import Any

import transformers
from transformers import PretrainedConfig, PreTrainedModel

_LANGUAGE = ("CAUSAL_LM", "IMAGE_TEXT_TO_TEXT", "MULTIMODAL_LM")
_CLASSES = {"CAUSAL_LM": "CausalLM", "IMAGE_TEXT_TO_TEXT": "ImageTextToText", "MULTIMODAL_LM": "MultimodalLM"}


def auto_class(config: PretrainedConfig) -> Any:
    """transformers' class that loads such a model: that of wrappers where it is no plain causal language model."""
    for kind in _LANGUAGE:
        if type(config) in getattr(transformers, f"MODEL_FOR_{kind}_MAPPING"):
            return getattr(transformers, f"AutoModelFor{_CLASSES[kind]}")
    return transformers.AutoModelForCausalLM  # says what it knows


def drop_other_parts(model: PreTrainedModel) -> None:
    """Forget the encoders of images and sound, and what projects them: prompts are text alone."""
    decoder = model.get_decoder()  # type: ignore[no-untyped-call]
    inner = model.base_model
    if not hasattr(model.config, "text_config") or decoder is inner:
        return
    for name, part in list(inner.named_children()):
        if all(module is not decoder for module in part.modules()):
            setattr(inner, name, None)
