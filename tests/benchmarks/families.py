"""Every causal language model that transformers has, tiny and random: is it served right, or refused for a reason?

    python -m tests.benchmarks.families [NAME ...] [--seconds 120]

Each family's own configuration is made small, its model random, and two turns with a restart between them are compared
token for token with transformers' `generate`, in all three modes. Each in a process of its own. A line a family:
`served`, `refused` with what the server says, `wrong` with what differed, or `untried` where such a small model cannot
be made or transformers itself does not run it. Ends with how many there were of each.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
from collections import Counter
from contextlib import redirect_stderr
from io import StringIO
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
import transformers
from tests.support.engines import greedy, running_engine
from tests.support.models import CONTEXT_LENGTH, END_OF_TEXT, IM_END, SLIDING_WINDOW
from tests.support.reference import random_ids
from tests.support.templates import CHATML
from tests.support.tokenizer import TOKENIZER_SIZE, chat_tokenizer
from transformers import AutoModelForCausalLM, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from warmturn_server.engine_api import ReuseMode
from warmturn_server.errors import StartRefused

REPLY_TOKENS: Final = 6
_MOST_NUMBERS: Final = 30_000_000
"""Of weights: what is larger was not made small."""
_SMALL: Final[dict[str, object]] = {
    "vocab_size": TOKENIZER_SIZE,
    "hidden_size": 64, "n_embd": 64, "d_model": 64, "dim": 64, "embed_dim": 64, "word_embed_proj_dim": 64,
    "intermediate_size": 96, "ffn_dim": 96, "n_inner": 96, "ffn_hidden_size": 96, "inner_dim": 96,
    "feed_forward_dim": 96,
    "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32, "expert_ffn_hidden_size": 32,
    "shared_intermediate_size": 32, "intermediate_size_mlp": 96,
    "num_hidden_layers": 4, "n_layer": 4, "num_layers": 4, "n_layers": 4,
    "num_attention_heads": 4, "n_head": 4, "num_heads": 4, "n_heads": 4, "attention_heads": 4,
    "num_key_value_heads": 2, "num_kv_heads": 2,
    "head_dim": 16, "global_head_dim": 16, "attention_head_dim": 16, "kv_channels": 16, "query_pre_attn_scalar": 16,
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16,
    "qk_head_dim": 16,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2,
    "moe_topk": 2, "moe_k": 2, "n_shared_experts": 1, "num_shared_experts": 1, "moe_num_shared_experts": 1,
    "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "num_dense_layers": 1, "moe_layer_start_index": 1,
    "zero_expert_num": 1, "vocab_size_per_layer_input": TOKENIZER_SIZE, "hidden_size_per_layer_input": 16,
    "sliding_window": SLIDING_WINDOW, "max_position_embeddings": CONTEXT_LENGTH, "n_positions": CONTEXT_LENGTH,
    "max_seq_len": CONTEXT_LENGTH, "n_ctx": CONTEXT_LENGTH,
    "bos_token_id": None, "eos_token_id": IM_END, "pad_token_id": END_OF_TEXT, "tie_word_embeddings": False,
}  # fmt: skip
"""What a configuration that has such a number is given for it."""
_EVEN_IF_UNSAID: Final = frozenset(
    {
        "num_key_value_heads", "head_dim", "num_experts_per_tok", "n_routed_experts", "bos_token_id", "eos_token_id",
        "pad_token_id", "tie_word_embeddings",
    }
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, default=120)
    given = parser.parse_args()
    counts = Counter[str]()
    for name in given.names or sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        told = _in_a_process(name, given.seconds)
        counts[told["is"]] += 1
        print(json.dumps({"family": name, **told}), flush=True)
    print(json.dumps({"transformers": transformers.__version__, **counts}))


def _in_a_process(name: str, seconds: float) -> dict[str, str]:
    """Forked, so that nothing has to be imported again."""
    context = get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_tell, args=(name, there))
    process.start()
    there.close()
    try:
        found: dict[str, str] = here.recv() if here.poll(seconds) else {"is": "untried", "why": "it takes too long"}
    except EOFError:
        found = {"is": "untried", "why": "the process ended"}
    process.kill()
    process.join()
    return found


def _tell(name: str, there: Connection) -> None:
    torch.set_num_threads(1)
    logging.disable()
    with TemporaryDirectory() as folder, redirect_stderr(StringIO()):
        there.send(tried(name, Path(folder)))


def tried(name: str, folder: Path) -> dict[str, str]:
    try:
        _make(name, folder / "model")
        model = AutoModelForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()  # type: ignore[no-untyped-call]
        turns = _turns(model)
    except Exception as error:
        return {"is": "untried", "why": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    try:
        wrong = _compared(folder, *turns)
    except StartRefused as error:
        return {"is": "refused", "why": str(error)[:200]}
    except Exception as error:
        return {"is": "wrong", "why": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    return {"is": "wrong", "why": wrong} if wrong else {"is": "served"}


def small_config(name: str) -> PretrainedConfig:
    """Its own configuration with small numbers in it, where the text is described in a part of it there."""
    plain = transformers.AutoConfig.for_model(name)
    if (text := getattr(plain, "text_config", None)) is not None:
        return _made(type(plain), {"text_config": _small(text)})
    return _small(plain)


def _small(plain: PretrainedConfig) -> PretrainedConfig:
    own = plain.to_dict()
    given = {name: value for name, value in _SMALL.items() if own.get(name) is not None or name in _EVEN_IF_UNSAID}
    given = {name: value for name, value in given.items() if name in own or _is_end(name)}
    if "qk_rope_head_dim" in own and "head_dim" in given:  # of what is rotated alone
        given["head_dim"] = _SMALL["qk_rope_head_dim"]
    if "kv_lora_rank" in own:  # each head has keys of its own
        given["num_key_value_heads"] = _SMALL["num_attention_heads"]
    return _made(type(plain), given)


def _made(kind: Any, given: dict[str, object]) -> PretrainedConfig:
    config = kind(**given)
    assert isinstance(config, PretrainedConfig)
    return config


def _is_end(name: str) -> bool:
    return name.endswith("_token_id") or name == "tie_word_embeddings"


def _make(name: str, folder: Path) -> None:
    config = small_config(name)
    with torch.device("meta"):
        numbers = sum(weights.numel() for weights in AutoModelForCausalLM.from_config(config).parameters())  # type: ignore[no-untyped-call]
    if numbers > _MOST_NUMBERS:
        raise ValueError(f"{numbers:,} numbers are not small")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.randn(weights.shape) * 0.2) if weights.dim() > 1 else weights.add_(
                torch.randn(weights.shape) * 0.1
            )
    model.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [IM_END, END_OF_TEXT]}))
    chat_tokenizer(CHATML).save_pretrained(folder)


def _turns(model: Any) -> tuple[tuple[int, ...], ...]:
    """Two prompts, the second going on from the first, longer than a short window, and transformers' replies."""
    chance = random.Random(3)
    first = random_ids(chance, 30)
    said = _generated(model, first)
    second = (*first, *said, *random_ids(chance, 7))
    return first, said, second, _generated(model, second)


def _generated(model: Any, prompt: tuple[int, ...]) -> tuple[int, ...]:
    ids = torch.tensor([list(prompt)])
    ends = [END_OF_TEXT, IM_END]
    options = {"do_sample": False, "max_new_tokens": REPLY_TOKENS, "suppress_tokens": ends, "pad_token_id": END_OF_TEXT}
    found = model.generate(ids, attention_mask=torch.ones_like(ids), **options)
    return tuple(found[0, len(prompt) :].tolist())


def _compared(
    folder: Path, first: tuple[int, ...], said: tuple[int, ...], second: tuple[int, ...], then: tuple[int, ...]
) -> str:
    """What differs; empty where nothing does."""
    model, data = folder / "model", folder / "data"
    with running_engine(model, data) as engine:
        if engine.generate(greedy(first, REPLY_TOKENS)).token_ids != said:
            return "the first turn"
    with running_engine(model, data) as engine:
        restored = engine.generate(greedy(second, REPLY_TOKENS, known_tokens=len(first) + len(said)))
        if restored.report.cached_by_tier["disk"] < len(first):
            return "nothing came from disk"
        if restored.token_ids != then:
            return "the second turn after a restart"
        for mode in (ReuseMode.PROMPT, ReuseMode.NOTHING):
            if engine.generate(greedy(second, REPLY_TOKENS, mode)).token_ids != then:
                return f"mode {mode.value}"
    return ""


if __name__ == "__main__":
    main()
