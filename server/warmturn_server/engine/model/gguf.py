"""GGUF: what a file says about itself, and what transformers leaves out when it reads one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from tokenizers import Tokenizer, pre_tokenizers
from transformers import PretrainedConfig, PreTrainedModel

from ...errors import ModelRefused, first_line
from .needs import refuse_missing

_ROPE_FREQUENCIES: Final = "rope_freqs.weight"
_SCALED_ROPE: Final = frozenset({"linear", "yarn"})
_SCALING: Final = {"type", "factor", "original_context_length", "finetuned"}
_READS_ROPE_ITSELF: Final = frozenset({"gpt-oss"})
_SAMPLING: Final = {
    "temp": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}
_DIGITS_APART: Final = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell"})
"""Tokenizers that cut every digit off before anything else, by llama.cpp's names of them."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """Where one of a file's tensors lies.

    `kind`: how its numbers are kept, such as `Q4_K`; `shape`: in bytes; `row_numbers`: how many numbers a row has.
    """

    path: Path
    kind: str
    offset: int
    shape: tuple[int, ...]
    row_numbers: int

    def read(self) -> np.ndarray:
        """Its bytes, those of a row of the matrix in each row; nothing is read before it is looked at."""
        return np.memmap(self.path, np.uint8, "r", self.offset, self.shape).reshape(-1, self.shape[-1])


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A file's header. `num_weights`: how many numbers its tensors hold; `rope_divisors`: one for each frequency.

    `quantised`: its tensors that are no plain floating-point numbers.
    """

    path: Path
    metadata: Mapping[str, Any]
    num_weights: int
    rope_divisors: tuple[float, ...] = ()
    quantised: tuple[GgufTensor, ...] = ()

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture"))

    @property
    def sampling(self) -> dict[str, float]:
        """What it recommends, in the words of a generation config."""
        said = {name: self.metadata.get(f"general.sampling.{key}") for key, name in _SAMPLING.items()}
        return {name: value for name, value in said.items() if value is not None}

    @property
    def end_ids(self) -> list[int]:
        """Of tokens that end a turn or a message; the end of text is the tokenizer's."""
        named = (self.metadata.get(f"tokenizer.ggml.{end}_token_id") for end in ("eos", "eot", "eom"))
        return [int(token_id) for token_id in named if token_id is not None]


def read_gguf(path: Path) -> GgufFile:
    """Raises `ModelRefused` where it cannot be served, or the packages for it are missing."""
    refuse_missing("a GGUF file", "gguf", ("gguf", "accelerate"))
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        short = {key: field for key, field in reader.fields.items() if len(field.data) < 2}
        metadata = {key: field.contents() for key, field in short.items()}
        sizes = {tensor.name: int(tensor.n_elements) for tensor in reader.tensors}
        divisors = [tensor.data.flatten().tolist() for tensor in reader.tensors if tensor.name == _ROPE_FREQUENCIES]
        quantised = tuple(
            GgufTensor(path, tensor.tensor_type.name, int(tensor.data_offset), tensor.data.shape, int(tensor.shape[0]))
            for tensor in reader.tensors
            if tensor.data.dtype == np.uint8 and tensor.tensor_type.name != "BF16"
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ModelRefused(f"{path} is damaged or not all there ({first_line(error)}); fetch it again") from error
    if (parts := metadata.get("split.count", 1)) > 1:
        raise ModelRefused(f"{path} is one of {parts} parts; join them with llama-gguf-split --merge")
    num_weights = sum(size for name, size in sizes.items() if name != _ROPE_FREQUENCIES)
    return GgufFile(path, metadata, num_weights, tuple(divisors[0]) if divisors else (), quantised)


def scale_rope(config: PretrainedConfig, file: GgufFile) -> None:
    """Take over how the file stretches its context, which transformers skips; `ModelRefused` where that is unknown."""
    start = f"{file.architecture}.rope.scaling."
    scaling = {key.removeprefix(start): value for key, value in file.metadata.items() if key.startswith(start)}
    kind = scaling.get("type", "none")
    if kind == "none" or file.architecture in _READS_ROPE_ITSELF:
        return
    if kind not in _SCALED_ROPE or (strange := set(scaling) - _SCALING):
        strange = {kind} if kind not in _SCALED_ROPE else strange
        raise ModelRefused(f"{file.path} scales its rope in a way that is unknown here: {', '.join(sorted(strange))}")
    scaled: dict[str, Any] = {"rope_type": kind, "factor": float(scaling["factor"])}
    if "original_context_length" in scaling:
        scaled["original_max_position_embeddings"] = int(scaling["original_context_length"])
    rope = config.get_text_config(decoder=True).rope_parameters
    rope.get("full_attention", rope).update(scaled)  # windows are shorter than what is stretched


@torch.no_grad()
def stretch_rope(model: PreTrainedModel, file: GgufFile) -> None:
    """Llama 3's way: one divisor for each frequency, which transformers skips. Raises `ModelRefused`."""
    if not file.rope_divisors:
        return
    decoder = model.get_decoder()  # type: ignore[no-untyped-call]
    rotary = getattr(decoder, "rotary_emb", None)
    frequencies = getattr(rotary, "inv_freq", None)
    if frequencies is None or len(frequencies) != len(file.rope_divisors):
        raise ModelRefused(f"{file.path} stretches its rope, and {model.config.model_type} has no place for that")
    frequencies.div_(torch.tensor(file.rope_divisors))


def refuse_leftovers(model: PreTrainedModel, file: GgufFile) -> None:
    """Raise `ModelRefused` unless every number of the file went into the model: transformers skips what it does not
    know.
    """
    taken = sum(weights.numel() for weights in model.parameters())
    if file.num_weights != taken:
        raise ModelRefused(
            f"{file.path} holds {file.num_weights:,} numbers, and the {model.config.model_type} that transformers "
            f"makes of it {taken:,}; serve the model's safetensors form"
        )


def mend_pre_tokenizer(tokenizer: Tokenizer, file: GgufFile) -> None:
    """Where transformers takes GPT-2's way to cut text into words for the one that the file names."""
    if file.metadata.get("tokenizer.ggml.pre") in _DIGITS_APART:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
