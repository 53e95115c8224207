"""The network's shape and its start: plain Llama, with a few heads that begin as previous-token heads."""

import math

import torch
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from .tokenizer import MAX_POSITIONS, VOCABULARY

CONSTANT_CHANNEL = 0
HEADS_THAT_LOOK_BACK = (1, 2, 3)
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


def fresh(config: LlamaConfig) -> LlamaForCausalLM:
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=False, pad_token_id=config.pad_token_id, eos_token_id=config.eos_token_id, max_new_tokens=64
    )
    _initialise(model)
    return model


@torch.no_grad()
def _initialise(model: LlamaForCausalLM) -> None:
    embeddings = model.model.embed_tokens.weight
    embeddings.normal_(0, 0.02)
    embeddings[:, CONSTANT_CHANNEL] = 0.1
    size = model.config.hidden_size
    for layer in model.model.layers:
        for linear in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj, layer.mlp.gate_proj, layer.mlp.up_proj):
            linear.weight.normal_(0, size**-0.5)
        for linear in (layer.self_attn.o_proj, layer.mlp.down_proj):
            linear.weight.normal_(0, linear.in_features**-0.5 / math.sqrt(2 * model.config.num_hidden_layers))
    attention = model.model.layers[0].self_attn
    for head, distance in enumerate(HEADS_THAT_LOOK_BACK):
        _look_back(attention.q_proj.weight, attention.k_proj.weight, head, distance, model)


def _look_back(queries: Tensor, keys: Tensor, head: int, distance: int, model: LlamaForCausalLM) -> None:
    """Score = a sum of cos(frequency * (offset - distance)), from a channel that is the same for every token."""
    size = model.config.head_dim
    rows = slice(head * size, (head + 1) * size)
    frequencies = model.model.rotary_emb.inv_freq[:8]
    strength = 1.2
    queries[rows] *= 0.1
    keys[rows] *= 0.1
    queries[rows][: len(frequencies), CONSTANT_CHANNEL] = strength
    keys[rows][: len(frequencies), CONSTANT_CHANNEL] = strength * torch.cos(frequencies * distance)
    keys[rows][size // 2 : size // 2 + len(frequencies), CONSTANT_CHANNEL] = strength * torch.sin(frequencies * distance)
