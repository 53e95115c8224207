"""Rows of tokens to train on: dialogues, and drills in which nothing but copying can win."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerFast

from . import data, dialogues, values
from .attributes import ATTRIBUTES
from .tokenizer import END, MAX_POSITIONS, START, VOCABULARY, assistant_text, user_text
from .wordings import SYSTEM_PROMPTS

FIRST_ORDINARY_TOKEN = 3
_TOKENS_A_NOTE = 36
"""And its place in the summary."""
Row = tuple[list[int], list[bool], list[int]]
"""Token ids, which of them are to be predicted, and where a new turn starts."""


@dataclass(frozen=True)
class Mix:
    """What one step of the training reads."""

    length: int
    rows: int
    max_facts: int
    drills: float
    skipped: float
    """The share of rows whose positions jump between turns, up to the model's last position."""
    summaries: float = 0.0
    """The share of drills in which everything is told and then summed up."""


class Batch(NamedTuple):
    tokens: Tensor
    """[rows, length], int16"""
    positions: Tensor
    """[rows, length], int16"""
    learned: Tensor
    """[count], int32: where in the flattened rows a token stands whose prediction the loss counts."""


class Rows:
    """Builds the batch of any step from the seed alone, so that a resumed run reads what it would have read."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self.tokenizer = tokenizer
        self.seed = seed
        self.start, self.end, self.newline = (self._ids([text])[0] for text in (START, END, "\n"))

    def batch(self, step: int, mix: Mix) -> Batch:
        rng = Random(f"{self.seed}/{step}")
        rows = [self.drill(rng, mix) if rng.random() < mix.drills else self.dialogue(rng, mix) for _ in range(mix.rows)]
        positions = [positions_of(starts, mix, rng) for _, _, starts in rows]
        learned = np.array([learned for _, learned, _ in rows])
        learned[:, 0] = False
        return Batch(
            torch.from_numpy(np.array([tokens for tokens, _, _ in rows], np.int16)),
            torch.from_numpy(np.array(positions, np.int16)),
            torch.from_numpy(np.flatnonzero(learned).astype(np.int32)),
        )

    def dialogue(self, rng: Random, mix: Mix) -> Row:
        return self.dialogue_of(dialogues.dialogue(rng, "train", mix.max_facts), rng, mix)

    def dialogue_of(self, turns: Iterable[data.Turn], rng: Random, mix: Mix) -> Row:
        """The turns, and others behind them where they are too few."""
        system = [rng.choice(SYSTEM_PROMPTS)] if rng.random() < 0.2 else []
        drawn = [turn for turn, _ in zip(turns, range(mix.length // 18), strict=False)]
        tokens, learned, starts = self.encode(drawn, system)
        while len(tokens) < mix.length:
            more, also, _ = self.dialogue(rng, mix)
            starts = [*starts, len(tokens)]
            tokens, learned = tokens + more, learned + also
        return _cut(tokens, learned, starts, mix.length)

    def encode(self, turns: Sequence[data.Turn], system: Sequence[str] = ()) -> Row:
        """The tokens of the chat template; what the assistant says is learned, its end token too."""
        texts = [f"system {prompt}" for prompt in system]
        texts += [text for turn in turns for text in (user_text(turn.user), assistant_text(turn.assistant))]
        encoded = self._ids(texts)
        tokens: list[int] = []
        learned: list[bool] = []
        starts: list[int] = []
        for index, ids in enumerate(encoded):
            is_reply = index >= len(system) and (index - len(system)) % 2 == 1
            if not is_reply:
                starts.append(len(tokens))
            # The role and its line break are two tokens that the server writes, not the model.
            marks = [False, False, False] + [is_reply] * (len(ids) - 2) + [is_reply]
            tokens += [*self.start, *ids, *self.end, *self.newline]
            learned += marks + [False] * len(self.newline)
        return tokens, learned, starts

    def drill(self, rng: Random, mix: Mix) -> Row:
        if rng.random() < mix.summaries:
            told = dialogues.told_and_summed_up(rng, mix.length)
            return self.notes(rng, mix.length) if rng.random() < 0.3 else self.dialogue_of(told, rng, mix)
        return self.echo(rng, mix.length) if rng.random() < 0.3 else self.facts(rng, mix.length)

    def notes(self, rng: Random, length: int) -> Row:
        """Nothing but what the assistant noted, and the summary: most steps from one number to the next."""
        speaker = data.Speaker(rng, "train", "train", slips=True)
        limit = rng.randint(2, min(length // _TOKENS_A_NOTE, dialogues.MAX_DRILLED))
        noted = list[str]()
        while len(speaker.memory.answers) < limit:
            noted.append(dialogues.noted(speaker, rng).assistant)
        rows = [[*self.start, *ids, *self.end, *self.newline] for ids in self._ids(list(map(assistant_text, noted)))]
        before = list(accumulate(map(len, rows), initial=0))
        summary = speaker.sum_up()
        tokens, learned, starts = self.encode([summary, *(speaker.chat() for _ in range(length // 18))])
        return _cut(
            [*chain(*rows), *tokens],
            [False] * before[-1] + learned,
            [*before, *(before[-1] + start for start in starts[1:])],
            length,
        )

    def echo(self, rng: Random, length: int) -> Row:
        """A random string that repeats."""
        period = rng.randint(8, length // 3)
        block = [rng.randrange(FIRST_ORDINARY_TOKEN, VOCABULARY) for _ in range(period)]
        tokens = (block * (length // period + 1))[:length]
        return tokens, [at > period for at in range(length)], [0]

    def facts(self, rng: Random, length: int) -> Row:
        """Facts in any order, again and again, sometimes with a new value: `Your cat is Mirelo. Your keys are ...`"""
        attributes = rng.sample(ATTRIBUTES, rng.randint(2, 12))
        told: dict[str, str] = {}
        said: list[tuple[str, str, bool]] = []
        for _ in range(length // 7):
            attribute = rng.choice(attributes)
            known = attribute.phrase in told and rng.random() > 0.08
            if not known:
                told[attribute.phrase] = values.draw(attribute.value, rng, "train")
            said.append((f" your {attribute.phrase} {attribute.verb}", f" {told[attribute.phrase]}.", known))
        encoded = self._ids([text for key, value, _ in said for text in (key, value)])
        tokens: list[int] = [*self.start]
        learned: list[bool] = [False]
        starts: list[int] = [0]
        for index, (_, _, known) in enumerate(said):
            key, value = encoded[2 * index], encoded[2 * index + 1]
            tokens += key + value
            learned += [False] * len(key) + [known] * len(value)
            starts.append(len(tokens))
        return _cut(tokens * 2, learned + [False] * len(tokens), starts, length)

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.tokenizer.backend_tokenizer.encode_batch_fast(texts)]


class Batches(Dataset[Batch]):
    """The batch of each step; the mixes take turns."""

    def __init__(self, rows: Rows, mixes: Sequence[Mix]) -> None:
        self.rows = rows
        self.mixes = mixes

    def __getitem__(self, step: int) -> Batch:
        return self.rows.batch(step, self.mixes[step % len(self.mixes)])


def _cut(tokens: list[int], learned: list[bool], starts: list[int], length: int) -> Row:
    return tokens[:length], learned[:length], [start for start in starts if start < length]


def positions_of(starts: Sequence[int], mix: Mix, rng: Random) -> list[int]:
    """Positions that jump where turns start: distances of thousands of tokens, learned from short rows (PoSE)."""
    spare = MAX_POSITIONS - mix.length
    if spare <= 0 or rng.random() >= mix.skipped:
        return list(range(mix.length))
    budget = int(spare * rng.random())
    inner = [start for start in starts if start > 0]
    jumps = sorted(rng.sample(inner, min(len(inner), rng.randint(1, 12))))
    offsets = sorted(rng.randint(0, budget) for _ in jumps)
    positions: list[int] = []
    for begin, end, offset in zip([0, *jumps], [*jumps, mix.length], [0, *offsets], strict=True):
        positions += range(begin + offset, end + offset)
    return positions
