"""Checkpoints whose weights are quantised: what transformers would pass over, and take other numbers for weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any, Final

import transformers
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PreTrainedModel
from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING

from ...errors import ModelRefused, first_line
from .checkpoint import Checkpoint

_INSTEAD: Final = "or take its weights in full, or a GGUF file of it"
_OF_ACTIVATIONS: Final = ("input_scale", "output_scale", "activation_scale", "input_global_scale", "k_scale", "v_scale")
"""Transformers computes activations in full where it has no use for these."""
_PACKAGES: Final = {"gptq": ("optimum", "gptqmodel")}
"""Where transformers names one of them only, or none."""
_SPEAKING: Final = (OSError, ValueError, ImportError, RuntimeError, SafetensorError)
"""What these say is made for people."""


def refuse_unreadable(checkpoint: Checkpoint) -> None:
    """Raise `ModelRefused` where transformers cannot unpack the weights. Some it would load all the same, as if they
    were not packed: those of a method that it does not know, and float8 ones without scales.
    """
    methods = [_method(checkpoint.name, packing) for packing in _packings(checkpoint)]
    for method in methods:
        if method not in AUTO_QUANTIZATION_CONFIG_MAPPING:
            raise ModelRefused(
                f"{checkpoint.name} is quantised by {method or 'a method that its config.json does not name'}, which "
                f"transformers {transformers.__version__} cannot unpack; {_INSTEAD}"
            )
        if missing := [package for package in _PACKAGES.get(method, ()) if find_spec(package) is None]:
            raise ModelRefused(
                f"{checkpoint.name} is quantised by {method} and cannot be loaded here: pip install "
                f"{' '.join(missing)}; {_INSTEAD}"
            )
    if methods and (unscaled := next(_without_scale(checkpoint), None)):
        raise ModelRefused(f"{checkpoint.name} lacks the scale of {unscaled}; fetch it again")


def refuse_unused(checkpoint: Checkpoint, model: PreTrainedModel, unused: Iterable[str]) -> None:
    """Raise `ModelRefused` where a layer that was loaded has more tensors, such as scales, that found no place."""
    layers = dict(model.named_modules())
    for name in sorted(unused):
        path, _, tensor = name.rpartition(".")
        if tensor not in _OF_ACTIVATIONS and isinstance(getattr(layers.get(path), "weight", None), nn.Parameter):
            raise ModelRefused(
                f"{checkpoint.name} has a tensor that transformers makes no use of, {name}: without it {path} computes "
                f"something else; {_INSTEAD}"
            )


def why_not_loaded(checkpoint: Checkpoint, error: Exception) -> ModelRefused:
    """For what went wrong while weights were loaded or first used: a missing package, no GPU, a damaged file, ..."""
    said = first_line(error) if isinstance(error, _SPEAKING) else f"{type(error).__name__}: {first_line(error)}"
    if "ignore_mismatched_sizes" in said:  # points to a report that nobody sees
        said = "its weights have other shapes than its config.json says"
    if isinstance(error, ModuleNotFoundError) and error.name:
        said += f" (pip install {error.name.partition('.')[0]})"
    if methods := [_method(checkpoint.name, packing) for packing in _packings(checkpoint)]:
        return ModelRefused(
            f"{checkpoint.name} is quantised by {methods[0]} and cannot be loaded here: {said}; {_INSTEAD}"
        )
    if isinstance(error, ImportError):
        return ModelRefused(f"{checkpoint.name} needs another package: {said}")
    return ModelRefused(f"cannot load a causal language model from {checkpoint.folder}: {said}")


def _packings(checkpoint: Checkpoint) -> Iterator[Any]:
    """What a folder's config.json says of the model, and of its text part."""
    try:
        config = json.loads((checkpoint.folder / "config.json").read_text()) if not checkpoint.gguf else {}
    except (OSError, ValueError):
        return
    for part in (config, config.get("text_config")) if isinstance(config, dict) else ():
        if isinstance(part, dict) and part.get("quantization_config") is not None:
            yield part["quantization_config"]


def _method(name: str, packing: Any) -> str:
    if not isinstance(packing, dict):
        raise ModelRefused(f"{name} has a quantization_config in its config.json that is no object")
    for bits in ("4bit", "8bit"):
        if packing.get(f"load_in_{bits}"):
            return f"bitsandbytes_{bits}"
    return str(packing.get("quant_method") or "")


def _without_scale(checkpoint: Checkpoint) -> Iterator[str]:
    for file in sorted(checkpoint.folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            names = set(tensors.keys())
            layers_with_scales = {name.rpartition(".")[0] for name in names if "scale" in name}
            for name in sorted(names):
                is_float8 = str(tensors.get_slice(name).get_dtype()).startswith("F8_E4M3")
                if is_float8 and "scale" not in name and name.rpartition(".")[0] not in layers_with_scales:
                    yield name
