"""The tokenizer that lies beside a model's weights, and what the engine needs of it."""

from __future__ import annotations

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from ...errors import ModelRefused, first_line
from .gguf import mend_pre_tokenizer
from .loader import LoadedModel


def load_tokenizer(loaded: LoadedModel) -> PreTrainedTokenizerBase:
    """The model's own tokenizer, from its own folder or file. Raises `ModelRefused`."""
    checkpoint = loaded.checkpoint
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            checkpoint.folder, **checkpoint.from_pretrained
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelRefused(f"{loaded.name} has no usable tokenizer: {first_line(error)}") from error
    if checkpoint.gguf:
        mend_pre_tokenizer(backend_of(tokenizer), checkpoint.gguf)
    return tokenizer


def backend_of(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The `tokenizers` object inside; without one there is no incremental decoding: `ModelRefused`."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise ModelRefused(f"{type(tokenizer).__name__} has no tokenizer.json form; Warmturn needs a fast tokenizer")
    return backend


def eos_token_ids(loaded: LoadedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Ids that end a reply: what the generation config says, and the tokenizer's own."""
    configured = getattr(getattr(loaded.model, "generation_config", None), "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    if loaded.checkpoint.gguf:
        ids = [*ids, *loaded.checkpoint.gguf.end_ids]
    return frozenset(int(token_id) for token_id in [*ids, tokenizer.eos_token_id] if token_id is not None)
