"""From a checkpoint to a model of transformers, with every number of the checkpoint in it."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import torch
from transformers import AutoConfig, GgufConfig, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ...errors import ModelRefused
from .adapter import merged
from .checkpoint import Checkpoint
from .gguf import GgufFile, refuse_leftovers, scale_rope, stretch_rope
from .quantised import refuse_unreadable, refuse_unused, why_not_loaded
from .support import take_long_rope
from .text_part import auto_class, drop_other_parts


def load_weights(checkpoint: Checkpoint, dtype: torch.dtype, max_context: int | None) -> PreTrainedModel:
    """On the CPU, with eager attention. Raises `ModelRefused`."""
    gguf = checkpoint.gguf
    refuse_unreadable(checkpoint)
    try:
        config = AutoConfig.from_pretrained(checkpoint.folder, **checkpoint.from_pretrained)
        take_long_rope(config, max_context)
        model = _of_gguf(checkpoint, config, gguf, dtype) if gguf else _from_pretrained(checkpoint, config, dtype)
        return merged(model, checkpoint.adapter) if checkpoint.adapter else model
    except ModelRefused:
        raise
    except Exception as error:  # whatever packages raise that unpack weights, or files that nobody has looked into
        raise why_not_loaded(checkpoint, error) from error


def _of_gguf(checkpoint: Checkpoint, config: PretrainedConfig, file: GgufFile, dtype: torch.dtype) -> PreTrainedModel:
    scale_rope(config, file)
    model = _from_pretrained(checkpoint, config, dtype, quantization_config=GgufConfig(dequantize=True))
    refuse_leftovers(model, file)
    stretch_rope(model, file)
    return model


def _from_pretrained(
    checkpoint: Checkpoint, config: PretrainedConfig, dtype: torch.dtype, **more: Any
) -> PreTrainedModel:
    """What transformers notes while loading is looked at, instead of printed."""
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    with contextlib.redirect_stderr(io.StringIO()):
        model, loading = auto_class(config).from_pretrained(
            checkpoint.folder,
            config=config,
            dtype=dtype,
            attn_implementation="eager",
            output_loading_info=True,
            **checkpoint.from_pretrained,
            **more,
        )
    if missing := sorted(loading["missing_keys"]):  # transformers fills them with random numbers
        raise ModelRefused(
            f"{checkpoint.name} lacks {len(missing)} of its weights, such as {missing[0]}; fetch it again"
        )
    refuse_unused(checkpoint, model, loading["unexpected_keys"])
    drop_other_parts(model)
    return model  # type: ignore[no-any-return]
