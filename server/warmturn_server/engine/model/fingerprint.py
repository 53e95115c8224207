"""What the saved state of a loaded model depends on, on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...kvcache import Fingerprint
from .loader import LoadedModel
from .runner import ModelRunner

HashFiles = Callable[[Path, tuple[str, ...]], str]
"""One hash over the files of a folder that match any of the patterns."""


def fingerprint_of(
    loaded: LoadedModel,
    runner: ModelRunner,
    tokenizer: PreTrainedTokenizerBase,
    hash_files: HashFiles,
    block_size: int,
    *,
    lossless: bool,
) -> Fingerprint:
    """`lossless`: whether what comes back from the tiers is what was saved, to the last bit."""
    checkpoint = loaded.checkpoint
    config, rope = _hash_config(loaded.model)
    return Fingerprint(
        weights=" ".join(hash_files(*files) for files in checkpoint.weight_files),
        config=config,
        tokenizer=hash_files(checkpoint.folder, checkpoint.tokenizer_files),
        template=str(tokenizer.chat_template),
        dtype=str(runner.dtype),
        rope=rope,
        attention="in-place 1",
        layout=runner.layout.describe(),
        block_size=block_size,
        products=runner.arithmetic,
        runtime=f"torch {torch.__version__}, transformers {transformers.__version__}, {runner.device.type}",
        precision="exact" if lossless else "int8",
    )


def _hash_config(model: PreTrainedModel) -> tuple[str, str]:
    """Hashes of the configuration in force, and of its rope part alone."""
    config = model.config.to_dict()
    text = model.config.get_text_config(decoder=True)
    for volatile in ("_name_or_path", "transformers_version", "_attn_implementation"):
        config.pop(volatile, None)
    return _hash_json(config), _hash_json(getattr(text, "rope_parameters", None))


def _hash_json(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
