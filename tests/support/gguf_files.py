"""GGUF files of tiny models, written as llama.cpp's converter does it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import gguf
import torch
from tests.support.models import CONTEXT_LENGTH, END_OF_TEXT, IM_END, TinyModels
from tests.support.templates import TEMPLATES
from tests.support.tokenizer import TOKENIZER_SIZE, tiny_tokenizer
from torch.nn import functional
from transformers import AutoModelForCausalLM, LlamaForCausalLM

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


def write_gguf(path: Path, model: LlamaForCausalLM, more: More = lambda _: None, *, template: str = "chatml") -> Path:
    """`more` adds to what is in it before it is written."""
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
        writer.add_tensor(_name(name), (_interleaved(weights, heads) if heads else weights).numpy())
    more(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


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
