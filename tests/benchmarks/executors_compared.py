"""How often who computes changes an answer: `python -m tests.benchmarks.executors_compared`.

The bundled model holds held-out dialogues of its generator in bfloat16. Every turn is answered greedily by each
executor: computed in full, from the state that it computed itself in the turns before, and from the state that another
one did. What differs is rounding; this counts in how many turns it changes a token. Ends with one line of JSON.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from tests.benchmarks.decoding import runners_of
from tests.benchmarks.held_out import GREEDY, Prompt, hold_dialogues
from tokenizers import Tokenizer

from warmturn_mini.data import Turn
from warmturn_server import bundled
from warmturn_server.engine import ModelRunner, Work, load_model
from warmturn_server.engine.model.tokenizer import backend_of, eos_token_ids, load_tokenizer
from warmturn_server.kvcache import KVBuffer

CHUNK = 512
Ids = tuple[int, ...]


class Speaker:
    """A runner on one executor, and the dialogue's state as it computed it."""

    def __init__(self, runner: ModelRunner, ends: frozenset[int]) -> None:
        self._runner, self._ends = runner, ends
        self.kept, self._held = runner.buffer(), list[int]()

    def in_full(self, prompt: Prompt) -> Ids:
        return self._answer(self._runner.buffer(), prompt)

    def going_on(self, prompt: Prompt, other: "Speaker") -> Ids:
        """From a copy of the other's state, as far as it is one of the prompt's beginning."""
        copy = self._runner.buffer()
        copy.copy_prefix(other.kept, min(other.common(prompt), len(prompt) - 1))
        return self._answer(copy, prompt)

    def common(self, prompt: Prompt) -> int:
        pairs = zip(self._held, prompt, strict=False)
        return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(self._held), len(prompt)))

    def keep(self, prompt: Prompt, answer: Ids) -> None:
        """Compute what is new of the turn into its own state."""
        tokens = [*prompt, *answer[:-1]]
        self.kept.length = min(self.common(prompt), self.kept.length)
        self._extend(self.kept, tokens)
        self._held = tokens

    def _answer(self, buffer: KVBuffer, prompt: Prompt) -> Ids:
        logits, said = self._extend(buffer, prompt), list[int]()
        while len(said) < (GREEDY.max_tokens or 0) and (not said or said[-1] not in self._ends):
            said.append(int(logits.argmax()))
            logits = self._extend(buffer, [*prompt, *said])
        return tuple(said)

    def _extend(self, buffer: KVBuffer, tokens: Sequence[int]) -> torch.Tensor:
        logits = torch.empty(0)
        while buffer.length < len(tokens):
            logits = self._runner.forward([Work(buffer, tokens[buffer.length : buffer.length + CHUNK])])
        return logits


def compare(dialogues: int) -> Counter[str]:
    loaded = load_model(str(bundled.path()), device="cpu", dtype="bfloat16", max_context=None)
    runners, tokenizer = runners_of(bundled.path(), "bfloat16"), load_tokenizer(loaded)
    ends = eos_token_ids(loaded, tokenizer)
    counts: Counter[str] = Counter()

    def answer(speakers: dict[str, Speaker], prompt: Prompt, _: Turn) -> str:
        return _turn(speakers, prompt, backend_of(tokenizer), counts)

    for seed in range(dialogues):
        speakers = {kind: Speaker(runner, ends) for kind, runner in runners.items()}
        hold_dialogues(1, partial(answer, speakers), first=seed)
    return counts


def _turn(speakers: Mapping[str, Speaker], prompt: Prompt, tokenizer: Tokenizer, counts: Counter[str]) -> str:
    full = {kind: speaker.in_full(prompt) for kind, speaker in speakers.items()}
    counts["turns"] += 1
    for kind, speaker in speakers.items():
        for other, theirs in speakers.items():
            counts[f"{kind} on state of {other}, and in full"] += speaker.going_on(prompt, theirs) != full[kind]
            if kind < other:
                counts[f"{kind} and {other}, both in full"] += full[kind] != full[other]
    for kind, speaker in speakers.items():
        speaker.keep(prompt, full[kind])
    return str(tokenizer.decode(list(full["generic"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dialogues", type=int, default=10)
    counts = compare(parser.parse_args().dialogues)
    for name, count in counts.items():
        print(f"{count:5}  {name}")
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
