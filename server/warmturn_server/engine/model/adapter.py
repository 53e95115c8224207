"""What was trained on top of a model (LoRA), merged into its weights when they are loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from transformers import PreTrainedModel

from ...errors import ModelRefused, first_line
from .needs import refuse_missing

_NAME: Final = "merged_at_start"


def merged(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    """`model` with the adapter of that folder added to its weights. Raises `ModelRefused`."""
    refuse_missing("--adapter", "lora", ("peft",))
    from peft import PeftModel

    kind = model.config.model_type
    if getattr(model, "is_quantized", False):
        raise ModelRefused(
            f"an adapter cannot be merged into weights that stay quantised: take those of {kind} in full"
        )
    if not any(adapter.glob("adapter_model.*")):
        raise ModelRefused(f"the adapter {adapter} has no adapter_model.safetensors; fetch it again")
    try:
        both = PeftModel.from_pretrained(model, str(adapter), adapter_name=_NAME)
        misfit = _misfit(both, adapter)
    except Exception as error:  # peft says what is wrong with an adapter by errors of many kinds
        said = " ".join(str(error).split("\n", 2)[:2]) if isinstance(error, RuntimeError) else first_line(error)
        raise ModelRefused(
            f"the adapter {adapter}, made for {base_of(adapter)}, does not fit {kind}: {type(error).__name__}: {said}"
        ) from error
    if not hasattr(both.base_model, "merge_and_unload"):
        raise ModelRefused(
            f"the adapter {adapter} is no LoRA but {_kind(adapter)}, which cannot be merged into weights"
        )
    if misfit:
        raise ModelRefused(f"the adapter {adapter}, made for {base_of(adapter)}, does not fit {kind}: {misfit}")
    return both.merge_and_unload()  # type: ignore[no-any-return]


def base_of(adapter: Path) -> str:
    """What the adapter says that it was trained on."""
    return _told(adapter, "base_model_name_or_path") or "MODEL"


def _kind(adapter: Path) -> str:
    return _told(adapter, "peft_type") or "of another kind"


def _told(adapter: Path, key: str) -> str:
    try:
        return str(json.loads((adapter / "adapter_config.json").read_text()).get(key) or "")
    except (OSError, ValueError, AttributeError):
        return ""


def _misfit(both: Any, adapter: Path) -> str:
    """Empty where each of its tensors has a place, and each place a tensor: peft leaves others out, or at random."""
    from peft import load_peft_weights, set_peft_model_state_dict

    result: Any = set_peft_model_state_dict(both, load_peft_weights(str(adapter), device="cpu"), adapter_name=_NAME)
    if result.unexpected_keys:
        return f"no layer takes its {result.unexpected_keys[0]}"
    missing = [key for key in result.missing_keys if _NAME in key.split(".")]
    return f"it has nothing for {missing[0].replace(f'.{_NAME}', '')}" if missing else ""
