"""Loads a model and proves, before anything is served, that this engine computes what the model means."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedModel

from ...errors import ModelRefused, StartRefused, first_line
from ...kvcache import LayerShape
from .attention import HARMLESS, HONOURED
from .capture import Scoring
from .checkpoint import Checkpoint, find_checkpoint
from .device import same_work_same_bits
from .loading import load_weights
from .quantised import why_not_loaded
from .support import context_length, effective_window, refuse_unsupported, sliding_windows

PROBE_TOKENS = 8


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that passed every check but the comparison with its own eager attention (see `ModelRunner`)."""

    model: PreTrainedModel
    name: str
    checkpoint: Checkpoint
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
    dtype: torch.dtype
    unknown: list[str] = field(default_factory=list)


def load_model(
    model: str,
    *,
    device: str,
    dtype: str,
    max_context: int | None,
    name: str | None = None,
    pulled: Path | None = None,
    adapter: Path | None = None,
) -> LoadedModel:
    """Load what `find_checkpoint` finds; raises `StartRefused` with what to do about it.

    `name` is what clients call the model: the hub id, or that of folder or file, unless given.
    """
    checkpoint = find_checkpoint(model, pulled=pulled, adapter=adapter)
    target = _device(device)
    chosen = choose_dtype(dtype, target)
    loaded = load_weights(checkpoint, chosen, max_context)
    limit = context_length(loaded.config, max_context)
    refuse_unsupported(loaded)
    loaded.to(target)  # type: ignore[arg-type]
    loaded.train(False)
    try:
        calls = _probe(loaded, target)
    except Exception as error:  # quantised weights are unpacked now, if they were not before
        raise why_not_loaded(checkpoint, error) from error
    _refuse_surprises(loaded, calls, limit, chosen)
    return LoadedModel(
        model=loaded,
        name=name or checkpoint.name,
        checkpoint=checkpoint,
        device=target,
        dtype=chosen,
        context_length=limit,
        layers=tuple(call.shape for call in calls),
        scorings=tuple(call.scoring for call in calls),
    )


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
        attention_mask: torch.Tensor | None,  # noqa: ARG001
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
                dtype=key.dtype,
                unknown=unknown,
            )
        )
        return query.new_zeros(1, query.shape[2], query.shape[1], value.shape[3]), None

    transformers.AttentionInterface.register(name, note)
    with as_attention(model, name), torch.inference_mode():
        ids = torch.arange(PROBE_TOKENS, device=device)[None] % model.config.get_text_config(decoder=True).vocab_size
        model(input_ids=ids, position_ids=torch.arange(PROBE_TOKENS, device=device)[None], use_cache=False)
    return sorted(calls, key=lambda call: call.layer)


def _refuse_surprises(model: PreTrainedModel, calls: list[_Call], limit: int, dtype: torch.dtype) -> None:
    """No sequence is longer than `limit`."""
    name = model.config.model_type
    windows = sliding_windows(model.config, limit)
    if [call.layer for call in calls] != list(range(len(windows))):
        raise ModelRefused(f"{name} did not call attention once for each of its {len(windows)} layers")
    unknown = sorted({argument for call in calls for argument in call.unknown})
    if unknown:
        raise ModelRefused(f"{name} uses attention features that Warmturn does not know: {', '.join(unknown)}")
    for call in calls:
        if call.dtype != dtype:  # some quantised layers compute in one of their own
            own = str(call.dtype).removeprefix("torch.")
            raise ModelRefused(f"{name} computes in {own}, whatever it is told: serve it with --dtype {own}")
    for call, window in zip(calls, windows, strict=True):
        told = effective_window(call.scoring.window, limit)
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
