"""Loads a model and proves, before anything is served, that this engine computes what the model means."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ...errors import ModelRefused, StartRefused
from ...kvcache import LayerShape
from .attention import HARMLESS, HONOURED
from .capture import Scoring
from .device import same_work_same_bits
from .support import context_length, refuse_unsupported, sliding_windows

PROBE_TOKENS = 8
_MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]
_OTHER_FORMS = ["*/*", "consolidated*"]
"""The same weights once more, for other programs: `original/`, `onnx/`, Mistral's own format."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that passed every check but the comparison with its own eager attention (see `ModelRunner`)."""

    model: PreTrainedModel
    name: str
    folder: Path
    device: torch.device
    dtype: torch.dtype
    context_length: int
    layers: tuple[LayerShape, ...]
    scorings: tuple[Scoring, ...]
    """How each layer weighs keys, as its attention is told."""

    @property
    def windows(self) -> list[int | None]:
        return [scoring.window for scoring in self.scorings]

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding: every id that the model can choose is below it."""
        return int(self.model.config.get_text_config(decoder=True).vocab_size)


@dataclass(slots=True)
class _Call:
    """One attention call seen by the probe."""

    layer: int
    shape: LayerShape
    scoring: Scoring
    unknown: list[str] = field(default_factory=list)


def load_model(model: str, *, device: str, dtype: str, max_context: int | None, name: str | None = None) -> LoadedModel:
    """Load from a local folder or a hub id; raises `StartRefused` with what to do about it.

    `name` is what clients call the model: the hub id or the folder's name unless given.
    """
    folder = resolve_folder(model)
    target = _device(device)
    chosen = choose_dtype(dtype, target)
    try:
        config = AutoConfig.from_pretrained(folder)
        limit = context_length(config, max_context)
        loaded, loading = _from_pretrained(folder, chosen)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelRefused(f"cannot load a causal language model from {model}: {first_line(error)}") from error
    if missing := sorted(loading["missing_keys"]):  # transformers fills them with random numbers
        raise ModelRefused(f"{model} lacks {len(missing)} of its weights, such as {missing[0]}; fetch it again")
    refuse_unsupported(loaded)
    loaded.to(target)  # type: ignore[arg-type]
    loaded.train(False)
    calls = _probe(loaded, target)
    windows = sliding_windows(loaded.config)
    _refuse_surprises(loaded, calls, windows)
    return LoadedModel(
        model=loaded,
        name=name or (Path(model).resolve().name if Path(model).exists() else model),
        folder=folder,
        device=target,
        dtype=chosen,
        context_length=limit,
        layers=tuple(call.shape for call in calls),
        scorings=tuple(call.scoring for call in calls),
    )


def _from_pretrained(folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, dict[str, set[str]]]:
    """The model, and what transformers noted while loading it, instead of printing it."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return AutoModelForCausalLM.from_pretrained(  # type: ignore[return-value]
        folder, dtype=dtype, attn_implementation="eager", output_loading_info=True
    )


def resolve_folder(model: str) -> Path:
    """The folder with the model's files: the given one, or the hub's local copy, fetched first if need be."""
    if Path(model).is_dir():
        return Path(model)
    if Path(model).is_absolute() or model.startswith((".", "~")):
        raise StartRefused(f"there is no folder {model}; --model takes a model folder, a hub id or 'bundled'")
    try:
        return Path(snapshot_download(model, allow_patterns=_MODEL_FILES, ignore_patterns=_OTHER_FORMS))
    except (OSError, ValueError) as error:
        raise StartRefused(f"no model named {model} here or on the hub: {first_line(error)}") from error


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """The named one; `auto` is bfloat16 where the processor or GPU has instructions for it, else float32."""
    if dtype != "auto":
        chosen = getattr(torch, dtype)
        assert isinstance(chosen, torch.dtype)
        return chosen
    return torch.bfloat16 if _has_bf16(device) else torch.float32


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    fast = torch.backends.cpu.get_cpu_capability() == "AVX512"
    return fast and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _device(device: str) -> torch.device:
    try:
        chosen = torch.device(device)
        same_work_same_bits(chosen)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise StartRefused(f"device {device} is not usable here: {first_line(error)}") from error
    return chosen


def _probe(model: PreTrainedModel, device: torch.device) -> list[_Call]:
    """Run a few tokens and note what every attention layer is called with."""
    calls: list[_Call] = []
    name = f"warmturn_probe_{os.getpid()}"

    def note(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *_: object,
        **given: object,
    ) -> tuple[torch.Tensor, None]:
        unknown = [k for k, v in given.items() if k not in HONOURED | HARMLESS and v is not None and v is not False]
        if given.get("is_causal") is False or getattr(module, "is_causal", True) is False:
            unknown.append("is_causal=False")
        calls.append(
            _Call(
                layer=int(getattr(module, "layer_idx", -1)),
                shape=LayerShape(key.shape[1], key.shape[3], value.shape[3]),
                scoring=Scoring.told(query.shape[3], given),
                unknown=unknown,
            )
        )
        return query.new_zeros(1, query.shape[2], query.shape[1], value.shape[3]), None

    transformers.AttentionInterface.register(name, note)
    with as_attention(model, name), torch.inference_mode():
        ids = torch.arange(PROBE_TOKENS, device=device)[None] % model.config.get_text_config(decoder=True).vocab_size
        model(input_ids=ids, position_ids=torch.arange(PROBE_TOKENS, device=device)[None], use_cache=False)
    return sorted(calls, key=lambda call: call.layer)


def _refuse_surprises(model: PreTrainedModel, calls: list[_Call], windows: list[int | None]) -> None:
    name = model.config.model_type
    if [call.layer for call in calls] != list(range(len(windows))):
        raise ModelRefused(f"{name} did not call attention once for each of its {len(windows)} layers")
    unknown = sorted({argument for call in calls for argument in call.unknown})
    if unknown:
        raise ModelRefused(f"{name} uses attention features that Warmturn does not know: {', '.join(unknown)}")
    for call, window in zip(calls, windows, strict=True):
        told = call.scoring.window
        if told != window:
            raise ModelRefused(
                f"{name} layer {call.layer}: attention is told window {told}, its own cache says {window}"
            )


class as_attention:  # noqa: N801 - reads as a verb
    """Within the block the model computes attention with the function registered as `name`."""

    def __init__(self, model: PreTrainedModel, name: str) -> None:
        self._model, self._name = model, name
        self._before: str = model.config._attn_implementation or "eager"

    def __enter__(self) -> None:
        self._model.set_attn_implementation(self._name)

    def __exit__(self, *_: object) -> None:
        self._model.set_attn_implementation(self._before)


def first_line(error: BaseException) -> str:
    """What an exception says, without the pages that some libraries add."""
    lines: Iterator[str] = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)
