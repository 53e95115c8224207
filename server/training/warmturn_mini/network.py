"""The network's shape and its start: plain Llama, with heads that begin as previous-token and as induction heads."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, GenerationConfig, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention

from .tokenizer import MAX_POSITIONS, VOCABULARY

CONSTANT_CHANNEL = 0
EMBEDDING_SCALE, LOGIT_SCALE = 0.2, 0.1
"""Large embeddings, so that Muon's first steps do not drown the start; the last norm makes up for it."""
LOOK_BACK = (1, 2, 3)
"""How many tokens back each of the first layer's first heads looks at the start of the training."""


def config(hidden: int, layers: int, heads: int, mlp: int, pad: int, eos: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=64,
        max_position_embeddings=MAX_POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        initializer_range=0.02,
        pad_token_id=pad,
        bos_token_id=None,
        eos_token_id=eos,
        use_cache=True,
    )


def every_earlier_token(
    _module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, _mask: object, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """Causal, whatever the positions: transformers' own would read jumps in them as packed sequences.

    Takes and gives [rows, heads, tokens, head_dim] and [rows, tokens, heads, head_dim].
    """
    query, key = query.to(value.dtype), key.to(value.dtype)
    return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scaling).transpose(1, 2), None


AttentionInterface.register(every_earlier_token.__name__, every_earlier_token)


def fresh(config: LlamaConfig) -> LlamaForCausalLM:
    model = LlamaForCausalLM(config)
    model.set_attn_implementation(every_earlier_token.__name__)
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False, pad_token_id=config.pad_token_id, eos_token_id=config.eos_token_id, max_new_tokens=256
    )
    _initialise(model)
    return model


@torch.no_grad()
def _initialise(model: LlamaForCausalLM) -> None:
    size, layers = model.config.hidden_size, model.model.layers
    model.model.norm.weight.fill_(LOGIT_SCALE)
    for layer in layers:
        attention, mlp = layer.self_attn, layer.mlp
        for linear in (attention.q_proj, attention.k_proj, attention.v_proj, mlp.gate_proj, mlp.up_proj):
            linear.weight.normal_(0, size**-0.5)
        for linear in (attention.o_proj, mlp.down_proj):
            linear.weight.zero_()
    embeddings = model.model.embed_tokens.weight
    embeddings.normal_(0, EMBEDDING_SCALE)
    embeddings[:, CONSTANT_CHANNEL] = 5 * EMBEDDING_SCALE
    embeddings[:, size // 2 :] = 0
    for head, distance in enumerate(LOOK_BACK):
        _look_back(layers[0].self_attn, head, distance, model)
    _induction(model)


def _look_back(attention: LlamaAttention, head: int, distance: int, model: LlamaForCausalLM) -> None:
    """Score = a sum of cos(frequency * (offset - distance)), from a channel that is the same for every token."""
    size = attention.head_dim
    queries, keys = (linear.weight[head * size : (head + 1) * size] for linear in (attention.q_proj, attention.k_proj))
    frequencies = model.model.rotary_emb.inv_freq[:8]
    count, strength = len(frequencies), 1.2
    queries *= 0.1
    keys *= 0.1
    queries[:count, CONSTANT_CHANNEL] = strength
    keys[:count, CONSTANT_CHANNEL] = strength * torch.cos(frequencies * distance)
    keys[size // 2 : size // 2 + count, CONSTANT_CHANNEL] = strength * torch.sin(frequencies * distance)


def _induction(model: LlamaForCausalLM) -> None:
    """The first layer notes the last two tokens beside each token; the second finds where they stood and copies.

    The embeddings fill the first half of the channels, the notes lie in the second half. Matching uses the channel
    pairs that the rotary embedding hardly turns within the context. It is only a start: every weight is trained.
    """
    first, second = model.model.layers[0].self_attn, model.model.layers[1].self_attn
    half, size = model.config.hidden_size // 2, first.head_dim
    width = min(half // 2, size)
    projection = torch.linalg.qr(torch.randn(half, size))[0].T
    notes = [slice(half + index * width, half + (index + 1) * width) for index in (0, 1)]
    for head, note in enumerate(notes):
        rows = slice(head * size, (head + 1) * size)
        first.v_proj.weight[rows] = 0
        first.v_proj.weight[rows, :half] = projection
        first.o_proj.weight[:, rows] = 0
        first.o_proj.weight[note, rows] = 0.15 * torch.eye(width, size)
    steady = [*range(18, 32), *range(50, 64)]
    one, other = (torch.linalg.qr(torch.randn(size, len(steady)))[0].T for _ in (0, 1))
    # Each head: what the query reads from (embedding, first note), what the key reads from (first note, second note).
    for head, (near, far) in enumerate(((one, 0 * one), (0 * one, one), (one, other))):
        rows = torch.tensor(steady) + head * size
        everything = slice(head * size, (head + 1) * size)
        for linear in (second.q_proj, second.k_proj, second.v_proj):
            linear.weight[everything] *= 0.1
        second.q_proj.weight[rows, :half] = 1.7 * near @ projection
        second.q_proj.weight[rows, notes[0]] = 1.7 * far[:, :width]
        second.k_proj.weight[rows, notes[0]] = 1.7 * near[:, :width]
        second.k_proj.weight[rows, notes[1]] = 1.7 * far[:, :width]
        copy = torch.linalg.qr(torch.randn(half, size))[0].T
        second.v_proj.weight[everything, :half] = copy
        second.o_proj.weight[:half, everything] = 0.5 * copy.T
