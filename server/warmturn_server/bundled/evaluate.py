"""Recall by distance and by number of facts, on values and wordings that the training never saw.

    python -m warmturn_server.bundled.evaluate

Every dialogue tells some facts, chats, and asks for one fact exactly so many turns after it was told. The history is
teacher-forced (the replies that were right), the answer is the model's own: it counts as right when greedy decoding
gives the expected answer to the last token. `--own-history` lets the model write the whole dialogue by itself.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

import torch
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedTokenizerFast

from . import path
from .batches import Rows
from .data import Speaker
from .trials import Trial, chatted, corrected, never_told, noted, recall, shopping

DISTANCES = (1, 2, 5, 10, 20, 40)
FACTS = (1, 3, 6, 10)


Maker = Callable[[Speaker, int], Trial]


ROWS: dict[str, Maker] = {f"{facts} facts": partial(recall, facts=facts) for facts in FACTS}
ROWS |= {"corrected": corrected, "never told": never_told, "list": shopping, "small talk": chatted, "noted": noted}


@dataclass(frozen=True)
class Judge:
    model: LlamaForCausalLM
    rows: Rows

    @torch.no_grad()
    def given_history(self, trial: Trial) -> bool:
        """Greedy decoding gives the answer exactly if, after each of its prefixes, its next token is the likeliest."""
        tokens, learned, starts = self.rows.encode(trial.turns)
        ids = torch.tensor([tokens])
        answer = [at for at in range(starts[-1], len(tokens)) if learned[at]]
        logits = self.model(ids, use_cache=False).logits[0, [at - 1 for at in answer]]
        return bool((logits.argmax(-1) == ids[0, answer]).all())

    @torch.no_grad()
    def own_history(self, trial: Trial) -> bool:
        """The model writes every reply itself; only what the user says is given."""
        state = DynamicCache(config=self.model.config)
        tokens: list[int] = []
        for turn in trial.turns:
            asked, learned, _ = self.rows.encode([turn])
            reply = self._greedy(asked[: learned.index(True)], state)
            tokens = reply
        expected, learned, _ = self.rows.encode([trial.turns[-1]])
        return tokens == [token for token, said in zip(expected, learned, strict=True) if said]

    def _greedy(self, prompt: list[int], state: DynamicCache, limit: int = 60) -> list[int]:
        reply: list[int] = []
        pending = prompt
        while len(reply) < limit:
            logits = self.model(torch.tensor([pending]), past_key_values=state).logits[0, -1]
            reply.append(int(logits.argmax()))
            pending = reply[-1:]
            if pending == self.rows.end:
                break
        self.model(torch.tensor([[*pending, *self.rows.newline]]), past_key_values=state)
        return reply


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=path())
    parser.add_argument("--values", choices=("train", "held_out"), default="held_out")
    parser.add_argument("--wordings", choices=("train", "held_out"), default="held_out")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--own-history", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = LlamaForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    judge = Judge(model, Rows(PreTrainedTokenizerFast.from_pretrained(path()), 0))
    rng = Random(arguments.seed)
    table = Table(
        judge.own_history if arguments.own_history else judge.given_history,
        lambda: Speaker(rng, arguments.values, arguments.wordings),
        arguments.samples,
    )
    table.fill(arguments.rows)
    settings = {name: value for name, value in vars(arguments).items() if name not in ("model", "threads")}
    print(json.dumps({**settings, "by_distance": table.shares, "by_kind": table.by_kind()}))


@dataclass
class Table:
    judge: Callable[[Trial], bool]
    speaker: Callable[[], Speaker]
    samples: int
    shares: dict[str, dict[str, float]] = field(default_factory=dict)
    families: dict[str, list[bool]] = field(default_factory=dict)

    def fill(self, rows: Sequence[str]) -> None:
        print("turns back".ljust(16) + "".join(f"{distance:>7}" for distance in DISTANCES))
        for name in rows:
            self.shares[name] = {str(distance): self._share(ROWS[name], distance) for distance in DISTANCES}
            print(name.ljust(16) + "".join(f"{share:>7.0%}" for share in self.shares[name].values()), flush=True)
        print("\nby kind, all distances")
        for family, share in self.by_kind().items():
            print(f"{family:<16}{share:>7.1%}  of {len(self.families[family])}")

    def by_kind(self) -> dict[str, float]:
        return {family: round(sum(hits) / len(hits), 3) for family, hits in sorted(self.families.items())}

    def _share(self, make: Maker, distance: int) -> float:
        trials = [make(self.speaker(), distance) for _ in range(self.samples)]
        hits = [self.judge(one) for one in trials]
        for one, hit in zip(trials, hits, strict=True):
            self.families.setdefault(one.family, []).append(hit)
        return round(sum(hits) / len(hits), 3)


if __name__ == "__main__":
    main()
