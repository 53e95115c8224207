"""Located-out dialogues of the bundled model's generator, held turn by turn with whatever is to be compared."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from random import Random

from transformers import AutoTokenizer

from warmturn_mini.data import Turn
from warmturn_mini.dialogues import dialogue
from warmturn_server import bundled
from warmturn_server.engine import Engine
from warmturn_server.engine_api import Generated, GenerationRequest, ReuseMode, SamplingParams

TURNS = 30
FACTS = 10
GREEDY = SamplingParams(max_tokens=40, temperature=0.0)
Prompt = tuple[int, ...]


def hold_dialogues(count: int, answer: Callable[[Prompt, Turn], str], first: int = 0) -> None:
    """`TURNS` turns of each, by seeds from `first` on: `answer` gets the whole prompt and the generator's turn.

    The dialogue goes on from what it returns.
    """
    tokenizer = AutoTokenizer.from_pretrained(bundled.path())
    for seed in range(first, first + count):
        messages: list[dict[str, str]] = []
        for turn in islice(dialogue(Random(seed), "held_out", FACTS), TURNS):
            messages.append({"role": "user", "content": turn.user})
            text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
            prompt = tuple(tokenizer.encode(text, add_special_tokens=False))
            messages.append({"role": "assistant", "content": answer(prompt, turn)})


def say(engine: Engine, prompt: Prompt, mode: ReuseMode) -> Generated:
    """Greedily, at most 40 tokens."""
    return engine.generate(GenerationRequest(prompt, GREEDY, reuse=mode))


def print_counts(figures: dict[str, Counter[str]], names: Sequence[str]) -> None:
    """A row for each dtype."""
    print("  ".join(["dtype".rjust(8), *names]))
    for dtype, counts in figures.items():
        print("  ".join([dtype.rjust(8), *(str(counts[name]).rjust(len(name)) for name in names)]))
