"""What several tokens a step bring: `python -m tests.benchmarks.drafts`.

The same turns with and without drafts, alternated, each variant in a process of its own: the demo's conversation; its
replies once more, as somebody asks who wants another one; texts that are to be said again; made-up words, which nobody
can guess. `--texts english`: a conversation in real English instead, greedily and as the model's makers recommend; for
a real model, such as `--model FOLDER` of SmolLM2. The history is the same for both, so a reply that differs was rounded
otherwise. Needs a machine that does nothing else; ratios and counts are worth something elsewhere too, and those of
processor time are given with `--threads 1`. Ends with one line of JSON.
"""

import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import english
from tests.benchmarks.engine_process import EngineProcess, engine_process
from tests.benchmarks.turn_speed import print_table
from transformers import PreTrainedTokenizerBase

from warmturn_server import bundled
from warmturn_server.engine.model.loader import load_model
from warmturn_server.engine.model.sampling_defaults import sampling_defaults
from warmturn_server.engine.model.tokenizer import load_tokenizer
from warmturn_server.engine_api import Generated, GenerationRequest, SamplingParams
from warmturn_server.settings import Settings

REPLY_TOKENS: Final = 64
GREEDY: Final = SamplingParams(max_tokens=REPLY_TOKENS, temperature=0.0)
QUOTED: Final = (
    "The ferry to the island leaves at nine and at four. In winter there is only one, and none on Sundays.",
    "Beat two eggs with a spoon of sugar, add flour and milk, and let it rest before you heat the pan.",
    "Members may bring one guest. Guests sign the book at the door and leave before the club closes.",
    "def area(width, height):\n    if width < 0 or height < 0:\n        raise ValueError('no such rectangle')\n",
)


@dataclass
class Text:
    """What was seen of one kind of text: per turn, milliseconds a token without drafts and with them; and the processor
    time of all turns.
    """

    plain_ms: list[float] = field(default_factory=list)
    drafting_ms: list[float] = field(default_factory=list)
    plain_seconds: float = 0.0
    drafting_seconds: float = 0.0
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    differing: int = 0

    def add(self, plain: Generated, drafting: Generated, plain_seconds: float, drafting_seconds: float) -> None:
        self.plain_seconds += plain_seconds
        self.drafting_seconds += drafting_seconds
        drafts = drafting.report.drafts
        self.tokens += len(drafting.token_ids)
        self.drafted += drafts.drafted if drafts else 0
        self.accepted += drafts.accepted if drafts else 0
        self.differing += plain.token_ids != drafting.token_ids
        if plain.report.decode_ms_per_token and drafting.report.decode_ms_per_token:
            self.plain_ms.append(plain.report.decode_ms_per_token)
            self.drafting_ms.append(drafting.report.decode_ms_per_token)

    def row(self, name: str) -> dict[str, float | int | str | None]:
        plain, drafting = statistics.median(self.plain_ms), statistics.median(self.drafting_ms)
        pairs = zip(self.plain_ms, self.drafting_ms, strict=True)
        return {
            "text": name,
            "turns": len(self.plain_ms),
            "tokens": self.tokens,
            "drafted": self.drafted,
            "accepted": self.accepted,
            "tokens a step": round(self.tokens / max(self.tokens - self.accepted, 1), 2),
            "ms a token, off": round(plain, 2),
            "with drafts": round(drafting, 2),
            "times as fast": round(statistics.median(one / other for one, other in pairs), 2),
            "by processor time": round(self.plain_seconds / max(self.drafting_seconds, 1e-9), 2),
            "replies differ": self.differing,
        }


class Both:
    """One engine without drafts and one with them; who comes first alternates."""

    def __init__(self, plain: EngineProcess, drafting: EngineProcess) -> None:
        self._engines = [plain, drafting]
        self._turns = 0

    def say(self, request: GenerationRequest, text: Text) -> Generated:
        """The reply without drafts."""
        self._turns += 1
        said = [self._engines[number].generate_timed(request) for number in ((0, 1) if self._turns % 2 else (1, 0))]
        (plain, plain_seconds), (drafting, drafting_seconds) = said if self._turns % 2 else said[::-1]
        text.add(plain, drafting, plain_seconds, drafting_seconds)
        return plain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="bundled", help="as for `warmturn serve`")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--drafts", default="auto", help="of the variant with drafts")
    parser.add_argument("--turns", type=int, default=23, help="of the demo's conversation")
    parser.add_argument("--texts", choices=["demo", "english"], default="demo")
    parser.add_argument("--threads", type=int, help="one makes processor times comparable")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as engines:
        variants: dict[str, Any] = {"plain": "off", "drafting": given.drafts}
        settings = {"model": given.model, "dtype": given.dtype, "control_rate": 0.0, "threads": given.threads}
        plain, drafting = (
            engines.enter_context(engine_process(Settings(**settings, drafts=drafts, data_dir=Path(scratch, name))))
            for name, drafts in variants.items()
        )
        both = Both(plain, drafting)
        tokenizer, sampling = of_model(given.model)
        if given.texts == "english":
            texts = hold_english(both, tokenizer, sampling)
        else:
            texts = measure(both, tokenizer, given.turns)
    rows = [text.row(name) for name, text in texts.items()]
    print_table(f"{given.model}, drafts {given.drafts}: decoding", rows)
    print(json.dumps({"model": given.model, "dtype": given.dtype, "drafts": given.drafts, "texts": rows}))


def measure(both: Both, tokenizer: PreTrainedTokenizerBase, num_turns: int) -> dict[str, Text]:
    texts = {name: Text() for name in ("demo", "once more", "quoting", "made-up words")}
    hold_demo(both, tokenizer, num_turns, texts["demo"], texts["once more"])
    for quoted in QUOTED:
        question = f"Repeat this word for word, three times:\n\n{quoted}"
        both.say(GenerationRequest(prompt_of(tokenizer, [said_by("user", question)]), GREEDY), texts["quoting"])
    chance = random.Random(0)
    for seed in range(8):
        words = tuple(chance.randrange(len(tokenizer)) for _ in range(200))
        wild = SamplingParams(max_tokens=REPLY_TOKENS, temperature=1.5, seed=seed, ignore_eos=True)
        both.say(GenerationRequest(words, wild), texts["made-up words"])
    return texts


def hold_demo(both: Both, tokenizer: PreTrainedTokenizerBase, num_turns: int, first: Text, again: Text) -> None:
    """Each turn is answered greedily, and then once more with some luck, as a retry is."""
    script = json.loads((bundled.path().parent / "demo_script.json").read_text())
    messages: list[dict[str, str]] = []
    for number, turn in enumerate(script[:num_turns]):
        messages.append(said_by("user", turn["user"]))
        prompt = prompt_of(tokenizer, messages)
        answer = both.say(GenerationRequest(prompt, GREEDY), first)
        retry = replace(GREEDY, temperature=0.8, seed=number)
        both.say(GenerationRequest(prompt, retry, near_copies=((*prompt, *answer.token_ids),)), again)
        messages.append(said_by("assistant", answer.text))


def hold_english(both: Both, tokenizer: PreTrainedTokenizerBase, recommended: SamplingParams) -> dict[str, Text]:
    """Twice: greedily, and sampled as the model's makers recommend, by a seed of its own for each turn."""
    texts = {"real English, greedy": Text(), "real English, as recommended": Text()}
    for text, params in zip(texts.values(), (GREEDY, replace(recommended, max_tokens=REPLY_TOKENS)), strict=True):
        messages: list[dict[str, str]] = []
        for number, question in enumerate(english.QUESTIONS):
            messages.append(said_by("user", question))
            seeded = replace(params, seed=number)
            answer = both.say(GenerationRequest(prompt_of(tokenizer, messages), seeded), text)
            messages.append(said_by("assistant", answer.text))
    return texts


def said_by(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def prompt_of(tokenizer: PreTrainedTokenizerBase, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
    text = str(tokenizer.apply_chat_template([*messages], tokenize=False, add_generation_prompt=True))
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def of_model(model: str) -> tuple[PreTrainedTokenizerBase, SamplingParams]:
    """Its tokenizer, and how its makers recommend to sample."""
    loaded = load_model(
        str(bundled.path()) if model == "bundled" else model, device="cpu", dtype="auto", max_context=None
    )
    return load_tokenizer(loaded), sampling_defaults(loaded.checkpoint)


if __name__ == "__main__":
    main()
