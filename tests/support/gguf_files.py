"""GGUF files of tiny models, written as llama.cpp's converter does it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType
from tests.support.models import CONTEXT_LENGTH, END_OF_TEXT, IM_END, TinyModels
from tests.support.templates import TEMPLATES
from tests.support.tokenizer import TOKENIZER_SIZE, tiny_tokenizer
from torch.nn import functional
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from warmturn_server.engine.model.sense import PLAIN_TEXT

_NAMES: Final = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
}
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4

More = Callable[[gguf.GGUFWriter], None]
KindOf = Callable[[str], GGMLQuantizationType]
"""Of the tensor of that name."""


def write_gguf(
    path: Path,
    model: LlamaForCausalLM,
    more: More = lambda _: None,
    *,
    template: str = "chatml",
    kind_of: KindOf = lambda _: GGMLQuantizationType.F32,
) -> Path:
    """`more` adds to what is in it before it is written; matrices are of the kind that `kind_of` says."""
    writer = gguf.GGUFWriter(path, "llama")
    config = model.config
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads or 1)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(TOKENIZER_SIZE)
    _add_tokenizer(writer, template)
    for name, weights in model.state_dict().items():
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
        numbers = (_interleaved(weights, heads) if heads else weights).detach().numpy()
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if numbers.ndim == 1 or (kind := kind_of(_name(name))) is GGMLQuantizationType.F32:
            writer.add_tensor(_name(name), numbers)
        else:
            writer.add_tensor(_name(name), quantised(numbers, kind), raw_dtype=kind)
    more(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def quantised(numbers: np.ndarray, kind: GGMLQuantizationType) -> np.ndarray:
    """Of float32 `[rows, columns]`, its blocks as uint8 `[rows, bytes]`."""
    return _q4_k(numbers) if kind is GGMLQuantizationType.Q4_K else gguf.quants.quantize(numbers, kind)


def _q4_k(numbers: np.ndarray) -> np.ndarray:
    """Which gguf-py only reads: per block of 256 two float16, 12 bytes of scales and least numbers, 128 of codes."""
    groups = numbers.reshape(len(numbers), -1, 8, 32)
    least = np.maximum(-groups.min(-1), 0)
    steps = (groups.max(-1) + least) / 15
    step, least_step = ((some.max(-1, keepdims=True) / 63).astype(np.float16) for some in (steps, least))
    scales, offsets = (
        np.round(some / unit).clip(0, 63).astype(np.uint8) for some, unit in ((steps, step), (least, least_step))
    )
    of_one = (step * scales.astype(np.float32))[..., None]
    codes = np.round((groups + (least_step * offsets.astype(np.float32))[..., None]) / of_one).clip(0, 15)
    codes = codes.astype(np.uint8)
    told = [
        scales[..., :4] | scales[..., 4:] >> 4 << 6,
        offsets[..., :4] | offsets[..., 4:] >> 4 << 6,
        scales[..., 4:] & 15 | offsets[..., 4:] << 4,
    ]
    nibbles = (codes[..., ::2, :] | codes[..., 1::2, :] << 4).reshape(*codes.shape[:2], 128)
    blocks = np.concatenate([step.view(np.uint8), least_step.view(np.uint8), *told, nibbles], axis=-1)
    return blocks.reshape(len(numbers), -1)


def wide_llama(*, tied: bool = False) -> LlamaForCausalLM:
    """A random one whose rows are whole blocks of every kind."""
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=TOKENIZER_SIZE,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT_LENGTH,
        bos_token_id=None,
        eos_token_id=IM_END,
        pad_token_id=END_OF_TEXT,
        tie_word_embeddings=tied,
        initializer_range=0.1,
    )
    return LlamaForCausalLM(config).requires_grad_(False)


def _add_tokenizer(writer: gguf.GGUFWriter, template: str) -> None:
    tokenizer = tiny_tokenizer()
    added = {token.content: token.special for token in tokenizer.get_added_tokens_decoder().values()}
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    kinds = {True: _CONTROL, False: _USER_DEFINED, None: _NORMAL}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([kinds[added.get(token)] for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in _merges()])
    writer.add_eos_token_id(IM_END)
    writer.add_pad_token_id(END_OF_TEXT)
    writer.add_chat_template(TEMPLATES[template])


def _merges() -> list[list[str]]:
    merges: list[list[str]] = json.loads(tiny_tokenizer().to_str())["model"]["merges"]
    return merges


def _name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    if not stem.startswith("model.layers."):
        return f"{_NAMES[stem]}.{kind}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{_NAMES[part]}.{kind}"


def _interleaved(weights: torch.Tensor, heads: int) -> torch.Tensor:
    """llama.cpp rotates neighbours, transformers halves."""
    rows, columns = weights.shape
    return weights.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns).contiguous()


def tiny_llama(tiny_models: TinyModels) -> LlamaForCausalLM:
    model = AutoModelForCausalLM.from_pretrained(tiny_models(), dtype=torch.float32)
    assert isinstance(model, LlamaForCausalLM)
    return model


def taught_llama(tiny_models: TinyModels) -> LlamaForCausalLM:
    """One that knows a single text by heart: the one that a server looks whether it makes sense with."""
    model = tiny_llama(tiny_models)
    ids = torch.tensor([tiny_tokenizer().encode(PLAIN_TEXT).ids])
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        logits = model(input_ids=ids).logits[0, :-1]
        functional.cross_entropy(logits, ids[0, 1:]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
    return model.requires_grad_(False)
