"""Models that think aloud: a family's template and tokens, a tiny Llama's weights, replies that tests decide on."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.engines import running_engine
from tests.support.models import TinyModels
from tests.support.real_templates import real_template
from tests.support.templates import THINKING
from tests.support.tokenizer import tiny_tokenizer
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from warmturn_server.chat import (
    ChatService,
    ConversationId,
    Item,
    RunningTurn,
    SqliteStore,
    Text,
    TextTokenizer,
    Transcriber,
    TurnRequest,
    calling_of,
    new_item_id,
    style_of,
)
from warmturn_server.engine.sampling.sampler import Sampler
from warmturn_server.engine_api import SamplingParams

VOCABULARY = 512


@dataclass(frozen=True)
class Family:
    """`reply`: what such a model writes behind its prompt, up to `ends`. `tokens`: further special ones."""

    reply: str
    ends: str
    template: Callable[[], str]
    format: str | None = "think"
    tokens: tuple[str, ...] = ()
    thought: str = "The user asks for a name. The cat is called Mio, and she told me so."
    extra: Mapping[str, object] = field(default_factory=dict)

    @property
    def special(self) -> list[str]:
        return list(dict.fromkeys([*re.findall(r"<[|｜][^<>|｜\s]+[|｜]?>", self.template()), self.ends, *self.tokens]))


def _own(name: str) -> Callable[[], str]:
    return lambda: THINKING[name]


def _real(name: str) -> Callable[[], str]:
    return lambda: real_template(name)


THOUGHT, ANSWER = "The user asks for a name. The cat is called Mio, and she told me so.", "Your cat is called Mio."
OWN: dict[str, Family] = {
    "thinks": Family(f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}", "<|im_end|>", _own("thinks")),
    "opens_thought": Family(f"{THOUGHT}\n</think>\n\n{ANSWER}", "<|im_end|>", _own("opens_thought")),
}
REAL: dict[str, Family] = {
    "Qwen3": Family(f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}", "<|im_end|>", _real("Qwen-Qwen3-0.6B")),
    "R1-Distill": Family(
        f"{THOUGHT}\n</think>\n\n{ANSWER}",
        "<｜end▁of▁sentence｜>",
        _real("deepseek-ai-DeepSeek-R1-Distill-Llama-8B"),
    ),
    "GLM-4.6": Family(f"\n<think>{THOUGHT}</think>\n{ANSWER}", "<|user|>", _real("GLM-4.6")),
    "gpt-oss": Family(
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}",
        "<|return|>",
        _real("openai-gpt-oss-120b"),
        "harmony",
    ),
    "Gemma 4": Family(
        f"<|channel>thought\n{THOUGHT}\n<channel|>{ANSWER}",
        "<turn|>",
        _real("google-gemma-4-31B-it"),
        "gemma",
        ("<|channel>", "<channel|>", "<|turn>"),
        extra={"enable_thinking": True},
    ),
    "Command-R7B": Family(
        f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>{ANSWER}<|END_RESPONSE|>",
        "<|END_OF_TURN_TOKEN|>",
        _real("CohereForAI-c4ai-command-r7b-12-2024-tool_use"),
        "command",
        extra={"enable_thinking": True},
    ),
    "Mistral-Nemo": Family(
        f" {ANSWER}",
        "</s>",
        _real("mistralai-Mistral-Nemo-Instruct-2407"),
        None,
        ("[INST]", "[/INST]"),
        thought="",
    ),
    "LFM2.5": Family(f"<think>{THOUGHT}</think>{ANSWER}", "<|im_end|>", _real("LFM2.5-8B-A1B")),
    "Kimi-K2-Thinking": Family(f"<think>{THOUGHT}</think>{ANSWER}", "<|im_end|>", _real("Kimi-K2-Thinking")),
    "Nemotron-3": Family(f"{THOUGHT}\n</think>\n{ANSWER}", "<|im_end|>", _real("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16")),
    "Seed-OSS": Family(
        f"<seed:think>{THOUGHT}</seed:think>{ANSWER}",
        "<seed:eos>",
        _real("ByteDance-Seed-OSS"),
        "seed",
        ("<seed:bos>", "<seed:think>", "</seed:think>"),
    ),
    "Apertus": Family(
        f"<|inner_prefix|>{THOUGHT}<|inner_suffix|>{ANSWER}",
        "<|assistant_end|>",
        _real("Apertus-8B-Instruct"),
        "apertus",
        extra={"enable_thinking": True},
    ),
    "Cohere2MoE": Family(
        f"{THOUGHT}<|END_THINKING|><|START_TEXT|>{ANSWER}<|END_TEXT|>",
        "<|END_OF_TURN_TOKEN|>",
        _real("Cohere2MoE"),
        "command",
    ),
    "Hy3": Family(
        f"{THOUGHT}</think:opensource>{ANSWER}",
        "<｜hy_eos:opensource｜>",
        _real("tencent-Hy3"),
        "hunyuan",
        extra={"reasoning_effort": "high"},
    ),
    "DeepSeek-V4": Family(
        f"{THOUGHT}</think>{ANSWER}",
        "<｜end▁of▁sentence｜>",
        _real("deepseek-ai-DeepSeek-V4"),
        extra={"thinking": True},
    ),
    "MiniMax-M2": Family(f"{THOUGHT}\n</think>\n\n{ANSWER}", "[e~[", _real("MiniMax-M2")),
    "MiniMax-M3": Family(
        f"<mm:think>{THOUGHT}</mm:think>{ANSWER}",
        "[e~[",
        _real("MiniMax-M3"),
        "minimax",
        ("]~b]", "<mm:think>", "</mm:think>"),
    ),
}


def make_thinker(folder: Path, family: Family) -> Path:
    """A folder that `transformers` loads like any other."""
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.copy_(torch.randn(weights.shape) * 0.2)
    model.save_pretrained(folder)
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in family.special])
    assert tokenizer.get_vocab_size() <= VOCABULARY
    end = tokenizer.token_to_id(family.ends)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
    named = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token="<|endoftext|>",
        eos_token=family.ends,
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    named.chat_template = family.template()
    named.save_pretrained(folder)
    return folder


class Thinker:
    """A chat with such a model: the server's own parts but for HTTP."""

    def __init__(self, folder: Path, data_dir: Path, engine: Any, patch: pytest.MonkeyPatch) -> None:
        self.plain = PreTrainedTokenizerFast.from_pretrained(folder)
        tokenizer = TextTokenizer(self.plain)
        self.style, self.calling = style_of(tokenizer), calling_of(tokenizer)
        self.engine = engine
        self.tokenizer = tokenizer
        self.service = ChatService(
            SqliteStore(data_dir / "l.sqlite3"),
            engine,
            Transcriber(tokenizer),
            style=self.style,
            calling=self.calling,
        )
        self._forced: list[int] = []
        settles_for, sample = Sampler.settles_for, Sampler.sample

        def settles(sampler: Sampler, best: int) -> bool:
            return not self._forced and settles_for(sampler, best)

        def forced(sampler: Sampler, logits: torch.Tensor) -> Any:
            return (self._forced.pop(0), None) if self._forced else sample(sampler, logits)

        patch.setattr(Sampler, "settles_for", settles)
        patch.setattr(Sampler, "sample", forced)

    async def say(self, text: str, writes: Sequence[int] = (), **where: Any) -> RunningTurn:
        """`writes`: the tokens of the reply, if the test decides on them."""
        self._forced[:] = writes
        sampling = SamplingParams(max_tokens=len(writes) or 8, temperature=0.0, ignore_eos=not writes)
        item = Item(new_item_id(), "user", (Text(text),))
        turn = await self.service.start(TurnRequest((item,), sampling=sampling, stored=True, **where))
        async for _ in turn.deltas():
            pass
        return turn

    async def type(self, text: str, conversation_id: ConversationId) -> None:
        item = Item(new_item_id(), "user", (Text(text),))
        await self.service.typed(TurnRequest((item,), conversation_id=conversation_id))

    def ids(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text).token_ids)


@contextmanager
def thinking_chat(folder: Path, data_dir: Path, patch: pytest.MonkeyPatch, **settings: object) -> Iterator[Thinker]:
    with running_engine(folder, data_dir, drafts="off", **settings) as engine:
        chat = Thinker(folder, data_dir, engine, patch)
        try:
            yield chat
        finally:
            chat.service.close()


__all__ = ["ANSWER", "OWN", "REAL", "THOUGHT", "Family", "Thinker", "TinyModels", "make_thinker", "thinking_chat"]
