"""Small random models of real architectures, saved as a folder that `transformers` loads like any other."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import torch
import transformers
from tests.support.templates import CALLING, TEMPLATES, THINKING
from tests.support.tokenizer import TOKENIZER_SIZE, chat_tokenizer
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PretrainedConfig, PreTrainedModel

CONTEXT_LENGTH: Final = 2048
SLIDING_WINDOW: Final = 24

END_OF_TEXT, IM_START, IM_END = 0, 1, 2
_FIRST_BYTE, _FIRST_MERGE = 3, 3 + 256

_SHAPE: Final[Mapping[str, object]] = {
    "vocab_size": TOKENIZER_SIZE,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT_LENGTH,
    "bos_token_id": None,
    "eos_token_id": IM_END,
    "pad_token_id": END_OF_TEXT,
    "tie_word_embeddings": False,
}
_ALTERNATING: Final = ["sliding_attention", "full_attention", "sliding_attention"]


def _config(kind: str, **changes: object) -> PretrainedConfig:
    config_class: type[PretrainedConfig] = getattr(transformers, f"{kind}Config")
    return config_class(**{**_SHAPE, **changes})  # type: ignore[arg-type]


def _gpt2() -> PretrainedConfig:
    return transformers.GPT2Config(
        vocab_size=TOKENIZER_SIZE,
        n_embd=64,
        n_layer=3,
        n_head=4,
        n_positions=CONTEXT_LENGTH,
        bos_token_id=None,
        eos_token_id=IM_END,
        tie_word_embeddings=False,
    )


def _mamba() -> PretrainedConfig:
    return transformers.MambaConfig(
        vocab_size=TOKENIZER_SIZE, hidden_size=64, num_hidden_layers=2, state_size=8, eos_token_id=IM_END
    )


def _rope(kind: str, **parameters: object) -> dict[str, object]:
    return {"rope_type": kind, "rope_theta": 10_000.0, **parameters}


# Every one of these must give the same answer in every reuse mode.
SERVED: Final[dict[str, Callable[[], PretrainedConfig]]] = {
    "llama": lambda: _config("Llama"),
    # Qwen2 pads its embedding matrix: the model can choose ids that no token has.
    "qwen2": lambda: _config("Qwen2", vocab_size=TOKENIZER_SIZE + 16),
    "qwen3": lambda: _config("Qwen3", head_dim=24),
    "mistral_sliding": lambda: _config("Mistral", sliding_window=SLIDING_WINDOW),
    "gemma2": lambda: _config(
        "Gemma2",
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=SLIDING_WINDOW,
        layer_types=_ALTERNATING,
        attn_logit_softcapping=4.0,
        final_logit_softcapping=15.0,
    ),
    "gemma3": lambda: _config(
        "Gemma3Text", head_dim=16, query_pre_attn_scalar=16, sliding_window=SLIDING_WINDOW, layer_types=_ALTERNATING
    ),
    "gpt2": _gpt2,
    "phi3": lambda: _config("Phi3"),
    "gpt_oss": lambda: _config(
        "GptOss",
        head_dim=16,
        num_local_experts=4,
        num_experts_per_tok=2,
        sliding_window=SLIDING_WINDOW,
        layer_types=_ALTERNATING,
        rope_parameters=_rope("default"),
    ),
}

# Of the Llama family as well, with parts that none of the above has.
FAMILY: Final[dict[str, Callable[[], PretrainedConfig]]] = {
    "granite": lambda: _config(
        "Granite",
        attention_bias=True,
        mlp_bias=True,
        embedding_multiplier=3.0,
        logits_scaling=2.0,
        residual_multiplier=0.7,
        attention_multiplier=0.2,
    ),
    "smollm3": lambda: _config("SmolLM3", no_rope_layers=[1, 0, 1]),
    "phi3_partly_rotated": lambda: _config("Phi3", rope_parameters=_rope("default", partial_rotary_factor=0.5)),
}

_VISION: Final = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
}
_QWEN_VISION: Final = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_heads": 2,
    "out_hidden_size": 64,
    "patch_size": 14,
}


def _mistral_3(text: PretrainedConfig) -> PretrainedConfig:
    return transformers.Mistral3Config(text_config=text, vision_config=transformers.PixtralVisionConfig(**_VISION))  # type: ignore[arg-type]


def _qwen_vl() -> PretrainedConfig:
    return transformers.Qwen2_5_VLConfig(
        text_config={**_SHAPE, "rope_parameters": _rope("default", mrope_section=[2, 3, 3])},
        vision_config={**_QWEN_VISION, "depth": 1, "fullatt_block_indexes": [0]},
    )


def _qwen_3_vl() -> PretrainedConfig:
    rope = _rope("default", mrope_section=[4, 2, 2], mrope_interleaved=True)
    seeing = {"depth": 2, "deepstack_visual_indexes": [0], "num_position_embeddings": 16}
    return transformers.Qwen3VLConfig(
        text_config={**_SHAPE, "head_dim": 16, "rope_parameters": rope}, vision_config={**_QWEN_VISION, **seeing}
    )


# These see as well; what is served of them is their text part.
SEEING: Final[dict[str, Callable[[], PretrainedConfig]]] = {
    "mistral3": lambda: _mistral_3(_config("Mistral", head_dim=16)),
    "ministral3": lambda: _mistral_3(_config("Ministral3", head_dim=16)),
    "qwen2_5_vl": _qwen_vl,
    "qwen3_vl": _qwen_3_vl,
}

# A window as long as the context; a mask that is passed by its name.
ODD: Final[dict[str, Callable[[], PretrainedConfig]]] = {
    "phimoe": lambda: _config("Phimoe", num_local_experts=4, num_experts_per_tok=2, sliding_window=CONTEXT_LENGTH),
    "afmoe": lambda: _config(
        "Afmoe",
        head_dim=16,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        num_dense_layers=1,
        sliding_window=SLIDING_WINDOW,
        layer_types=_ALTERNATING,
    ),
}

# Their layers hold other state than plain attention K/V, share it between layers, or mask in a way that is not ours.
REFUSED: Final[dict[str, Callable[[], PretrainedConfig]]] = {
    "lfm2": lambda: _config("Lfm2", layer_types=["conv", "full_attention", "conv"], block_multiple_of=16),
    "granite_hybrid": lambda: _config(
        "GraniteMoeHybrid",
        layer_types=["mamba", "attention", "mamba"],
        mamba_n_heads=4,
        mamba_d_head=32,
        mamba_d_state=16,
        mamba_n_groups=1,
        num_local_experts=2,
        num_experts_per_tok=1,
        shared_intermediate_size=32,
    ),
    "mamba": _mamba,
    "jamba": lambda: _config(
        "Jamba",
        attn_layer_period=2,
        attn_layer_offset=1,
        expert_layer_period=2,
        expert_layer_offset=1,
        num_experts=2,
    ),
    "qwen3_next": lambda: _config(
        "Qwen3Next",
        head_dim=16,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
        linear_num_value_heads=4,
        linear_num_key_heads=2,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        shared_expert_intermediate_size=32,
    ),
    "gemma3n": lambda: _config(
        "Gemma3nText",
        num_hidden_layers=4,
        head_dim=16,
        vocab_size_per_layer_input=TOKENIZER_SIZE,
        hidden_size_per_layer_input=16,
        num_kv_shared_layers=2,
        laurel_rank=8,
        layer_types=["sliding_attention", "full_attention"] * 2,
        sliding_window=SLIDING_WINDOW,
        activation_sparsity_pattern=[0.0] * 4,
    ),
    "gemma4": lambda: _config(
        "Gemma4Text",
        num_hidden_layers=4,
        head_dim=16,
        global_head_dim=16,
        vocab_size_per_layer_input=TOKENIZER_SIZE,
        hidden_size_per_layer_input=16,
        num_kv_shared_layers=2,
        layer_types=["sliding_attention", "full_attention"] * 2,
        sliding_window=SLIDING_WINDOW,
    ),
    "llama4": lambda: _config(
        "Llama4Text",
        head_dim=16,
        intermediate_size_mlp=96,
        num_local_experts=2,
        attention_chunk_size=16,
        no_rope_layers=[1, 1, 0],
        interleave_moe_layer_step=1,
    ),
    "bloom": lambda: transformers.BloomConfig(vocab_size=TOKENIZER_SIZE, hidden_size=64, n_layer=2, n_head=4),
}

# Beyond 64 tokens these rotate all earlier keys otherwise: saved ones would be wrong.
WITHIN_BASE: Final[dict[str, Callable[[], PretrainedConfig]]] = {
    "dynamic_rope": lambda: _config(
        "Llama",
        rope_parameters=_rope("dynamic", factor=2.0, original_max_position_embeddings=64),
        max_position_embeddings=64,
    ),
    "longrope": lambda: _config(
        "Phi3",
        original_max_position_embeddings=64,
        rope_parameters=_rope(
            "longrope", short_factor=[1.0] * 8, long_factor=[2.0] * 8, original_max_position_embeddings=64
        ),
    ),
}

# Computes for long what it keeps little state of, so that restoring wins on any machine, however loaded.
COSTLY: Final[dict[str, Callable[[], PretrainedConfig]]] = {
    "costly": lambda: _config(
        "Llama", hidden_size=512, intermediate_size=3072, num_hidden_layers=8, head_dim=16, num_key_value_heads=1
    ),
}

ARCHITECTURES: Final = {**SERVED, **SEEING, **ODD, **FAMILY, **REFUSED, **WITHIN_BASE, **COSTLY}


def _randomise(model: PreTrainedModel, seed: int, scale: float) -> None:
    """Weights with gaps between the logits. Norms, biases and sinks are random too: a forgotten one must show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            noise = torch.randn(weights.shape, generator=generator)
            if weights.dim() > 1:
                weights.copy_(noise * scale)
            else:
                weights.add_(noise * (1.0 if name.endswith("sinks") else 0.1))


def _prefer_readable_tokens(model: PreTrainedModel) -> None:
    """Half of all byte tokens are pieces of characters; smaller rows make them rare, as in a real model's output."""
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        head.weight[_FIRST_BYTE + 94 : _FIRST_MERGE] *= 0.5


def make_model(
    folder: Path, architecture: str = "llama", *, template: str = "chatml", seed: int = 0, scale: float = 0.2
) -> Path:
    """Writes config, safetensors weights, tokenizer and chat template of a random model into the folder."""
    config = ARCHITECTURES[architecture]()
    auto = AutoModelForImageTextToText if architecture in SEEING else AutoModelForCausalLM
    model = auto.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    _randomise(model, seed, scale)
    if architecture not in REFUSED:
        _prefer_readable_tokens(model)
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [IM_END, END_OF_TEXT], "do_sample": False})
    )
    chat_tokenizer({**TEMPLATES, **THINKING, **CALLING}[template]).save_pretrained(folder)
    return folder


class TinyModels:
    """Makes each model once for a test session: `tiny_models("gemma2")` is its folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(
        self, architecture: str = "llama", *, template: str = "chatml", seed: int = 0, scale: float = 0.2
    ) -> Path:
        folder = self._root / f"{architecture}-{template}-{seed}-{scale}"
        if not folder.exists():
            make_model(folder, architecture, template=template, seed=seed, scale=scale)
        return folder
