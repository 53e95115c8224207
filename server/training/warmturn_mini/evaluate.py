"""Recall by distance and by number of facts, on values and wordings that the training never saw.

    python -m warmturn_mini.evaluate

Every dialogue tells some facts, chats, and asks for one fact exactly so many turns after it was told. The history is
teacher-forced (the replies that were right), the answer is the model's own: it counts as right when greedy decoding
gives the expected answer to the last token. `--own-history` lets the model write the whole dialogue by itself.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import torch
from torch import Tensor
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedTokenizerFast

from warmturn_server.bundled import path

from . import trials
from .batches import Row, Rows
from .data import Speaker
from .trials import Trial

DISTANCES = (1, 2, 5, 10, 20, 40)
FACTS = (1, 3, 6, 10)


Maker = Callable[[Speaker, int], Trial]


ROWS: dict[str, Maker] = {f"{facts} facts": partial(trials.recall, facts=facts) for facts in FACTS}
ROWS |= {
    "corrected": trials.corrected,
    "at once": trials.corrected_at_once,
    "never told": trials.never_told,
    "list": trials.shopping,
    "small talk": trials.chatted,
    "noted": trials.noted,
    "several": trials.recall_of_several,
    "noted several": trials.noted_several,
    "noted dotted": trials.noted_dotted,
    "noted two": trials.noted_two,
    "noted somebody": trials.noted_of_somebody,
    "listed three": trials.listed_three,
    "taken off": trials.taken_off,
    "told anew": trials.told_anew,
    "forgets": trials.forgets,
    "forgotten": trials.forgotten,
    "joke": trials.another_joke,
}
ROWS |= {f"summary of {facts}": partial(trials.summed_up, facts=facts) for facts in (3, 6)}


@dataclass(frozen=True)
class Judge:
    model: LlamaForCausalLM
    rows: Rows

    def given_history(self, trials: Sequence[Trial]) -> list[bool]:
        """Greedy decoding gives the answer exactly if, after each of its prefixes, its next token is the likeliest."""
        encoded = [self.rows.encode(trial.turns) for trial in trials]
        by_length = sorted(range(len(trials)), key=lambda index: len(encoded[index][0]))
        hits = [False] * len(trials)
        for chosen in _chunks(by_length, [len(tokens) for tokens, _, _ in encoded]):
            for index, hit in zip(chosen, self._answered([encoded[index] for index in chosen]), strict=True):
                hits[index] = hit
        return hits

    @torch.no_grad()
    def _answered(self, encoded: Sequence[Row]) -> Iterator[bool]:
        """Rows of unequal length end in padding, which nothing before it sees."""
        ids = self._padded([tokens for tokens, _, _ in encoded])
        hidden = self.model.model(ids, use_cache=False).last_hidden_state
        for row, (tokens, learned, starts) in enumerate(encoded):
            answer = [at for at in range(starts[-1], len(tokens)) if learned[at]]
            logits = self.model.lm_head(hidden[row, [at - 1 for at in answer]])
            yield bool((logits.argmax(-1) == ids[row, answer]).all())

    @torch.no_grad()
    def own_history(self, trials: Sequence[Trial]) -> list[bool]:
        """The model writes every reply itself; only what the user says is given."""
        talks = Talks(self.model, len(trials), self.rows)
        replies: list[list[int]] = [[]] * len(trials)
        for number in range(max(len(trial.turns) for trial in trials)):
            said = [self._prompt(trial, number) for trial in trials]
            replies = [new or old for new, old in zip(talks.say(said), replies, strict=True)]
        return [reply == self._expected(trial) for reply, trial in zip(replies, trials, strict=True)]

    def _prompt(self, trial: Trial, number: int) -> list[int]:
        """What precedes the reply to this turn; nothing after the last."""
        if number >= len(trial.turns):
            return []
        tokens, learned, _ = self.rows.encode([trial.turns[number]])
        return tokens[: learned.index(True)]

    def _expected(self, trial: Trial) -> list[int]:
        tokens, learned, _ = self.rows.encode([trial.turns[-1]])
        return [token for token, said in zip(tokens, learned, strict=True) if said]

    def _padded(self, rows: Sequence[list[int]]) -> Tensor:
        longest = max(map(len, rows))
        return torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=self.model.device)


class Talks:
    """Several dialogues that go on side by side; what one lacks in length is padding that nothing looks at."""

    def __init__(self, model: LlamaForCausalLM, count: int, rows: Rows) -> None:
        self.model = model
        self.rows = rows
        self.state = DynamicCache(config=model.config)
        self.seen = torch.zeros(count, 0, dtype=torch.long, device=model.device)

    def say(self, prompts: Sequence[list[int]], limit: int = 200) -> list[list[int]]:
        """The replies; an empty one where nothing was said."""
        replies: list[list[int]] = [[] for _ in prompts]
        pending = [list(prompt) for prompt in prompts]
        while any(pending):
            for reply, given, token in zip(replies, pending, self._read(pending), strict=True):
                if given:
                    reply.append(token)
            pending = [
                [reply[-1]] if given and reply[-1:] != self.rows.end and len(reply) < limit else []
                for reply, given in zip(replies, pending, strict=True)
            ]
        self._read([[*reply[-1:], *self.rows.newline] if reply else [] for reply in replies])
        return replies

    def _read(self, given: Sequence[list[int]]) -> list[int]:
        """The likeliest token after each."""
        longest, device = max(map(len, given)), self.model.device
        tokens = torch.tensor([row + [0] * (longest - len(row)) for row in given], device=device)
        real = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in given], device=device)
        positions = self.seen.sum(1, keepdim=True) + real.cumsum(1) - 1
        self.seen = torch.cat([self.seen, real], 1)
        hidden = self.model.model(
            tokens, attention_mask=self.seen, position_ids=positions.clamp(min=0), past_key_values=self.state
        ).last_hidden_state
        last = torch.tensor([max(len(row) - 1, 0) for row in given], device=device)
        logits = self.model.lm_head(hidden[torch.arange(len(given), device=device), last])
        likeliest: list[int] = logits.argmax(-1).tolist()
        return likeliest


def _chunks(order: Sequence[int], lengths: Sequence[int], tokens: int = 65536) -> Iterator[list[int]]:
    """Neighbours in the order, together no longer than this when padded."""
    chunk: list[int] = []
    for index in order:
        if chunk and (len(chunk) + 1) * lengths[index] > tokens:
            yield chunk
            chunk = []
        chunk.append(index)
    if chunk:
        yield chunk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=path())
    parser.add_argument("--values", choices=("train", "held_out"), default="held_out")
    parser.add_argument("--wordings", choices=("train", "held_out"), default="held_out")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--distances", type=int, nargs="+", default=DISTANCES)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--own-history", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = LlamaForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).to(arguments.device)
    judge = Judge(model, Rows(PreTrainedTokenizerFast.from_pretrained(path()), 0))
    table = Table(
        judge.own_history if arguments.own_history else judge.given_history,
        lambda rng: Speaker(rng, arguments.values, arguments.wordings),
        arguments.seed,
        arguments.distances,
        arguments.samples,
    )
    table.fill(arguments.rows)
    settings = {name: value for name, value in vars(arguments).items() if name not in ("model", "device", "threads")}
    print(json.dumps({**settings, "by_distance": table.shares, "by_kind": table.by_kind()}))


@dataclass
class Table:
    judge: Callable[[Sequence[Trial]], list[bool]]
    speaker: Callable[[Random], Speaker]
    seed: int
    distances: Sequence[int]
    samples: int
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    families: dict[str, list[bool]] = field(default_factory=dict)

    def fill(self, rows: Sequence[str]) -> None:
        print("turns back".ljust(16) + "".join(f"{distance:>7}" for distance in self.distances))
        for name in rows:
            self.shares[name] = {str(distance): self._share(name, distance) for distance in self.distances}
            print(name.ljust(16) + "".join(f"{share:>7.0%}" for share in self.shares[name].values()), flush=True)
        print("\nby kind, all distances")
        for family, share in self.by_kind().items():
            print(f"{family:<16}{share:>7.1%}  of {len(self.families[family])}")

    def by_kind(self) -> dict[str, float]:
        return {family: round(sum(hits) / len(hits), 3) for family, hits in sorted(self.families.items())}

    def _share(self, name: str, distance: int) -> float:
        rng = Random(f"{self.seed}/{name}/{distance}")
        drawn = [ROWS[name](self.speaker(rng), distance) for _ in range(self.samples)]
        hits = self.judge(drawn)
        for one, hit in zip(drawn, hits, strict=True):
            self.families.setdefault(one.family, []).append(hit)
        return round(sum(hits) / len(hits), 3)


if __name__ == "__main__":
    main()
