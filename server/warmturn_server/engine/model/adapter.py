"""What was trained on top of a model (LoRA), merged into its weights when they are loaded."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel

from ...errors import ModelRefused
from .needs import refuse_missing


def merged(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """`model` with the adapter of that folder added to its weights. Raises `ModelRefused`."""
    refuse_missing("--adapter", "lora", ("peft",))
    from peft import PeftModel

    try:
        both = PeftModel.from_pretrained(model, str(adapter))
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise ModelRefused(f"the adapter {adapter} does not fit {model.config.model_type}: {error}") from error
    return both.merge_and_unload()  # type: ignore[no-any-return]
