"""Whether the model can be served, told from its config alone, and how much state of it there is room for."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import AutoConfig, PreTrainedModel

from .. import bundled
from ..data_dir import MODELS_NAME
from ..engine.model.checkpoint import Checkpoint, find_checkpoint
from ..engine.model.support import context_length, refuse_unsupported
from ..engine.model.text_part import auto_class
from ..errors import StartRefused, first_line
from ..settings import BUNDLED, Settings
from .finding import Finding, problem


def look_at_model(settings: Settings) -> Iterator[Finding]:
    where = str(bundled.path()) if settings.model == BUNDLED else settings.model
    pulled = settings.data_dir / MODELS_NAME
    if not Path(where).exists() and not (pulled / where).exists():
        yield Finding("model", f"{where} is not here; a hub id is fetched when the server starts")
        return
    try:
        checkpoint = find_checkpoint(where, pulled=pulled, adapter=settings.adapter)
        yield _of(settings, checkpoint)
    except StartRefused as error:
        yield problem("model", settings.model, str(error))
    except (OSError, ValueError, KeyError, ImportError) as error:
        yield problem("model", settings.model, first_line(error))


def _of(settings: Settings, checkpoint: Checkpoint) -> Finding:
    if checkpoint.gguf is not None:
        return Finding("model", f"{checkpoint.gguf.path.name}, a GGUF file: looked at when it is loaded")
    model = _without_weights(checkpoint)
    refuse_unsupported(model)
    length = context_length(model.config, settings.max_context)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Finding(
        "model", f"{model.config.model_type}, {parameters / 1e6:,.0f} M parameters, context of {length:,} tokens"
    )


def _without_weights(checkpoint: Checkpoint) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(checkpoint.folder)
    with torch.device("meta"), contextlib.redirect_stderr(io.StringIO()):
        return auto_class(config).from_config(config)  # type: ignore[no-any-return]
