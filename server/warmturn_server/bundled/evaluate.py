"""Recall by distance and by number of facts, on values and wordings that the training never saw.

    python -m warmturn_server.bundled.evaluate

Every dialogue tells some facts, chats, and asks for one fact exactly so many turns after it was told. The history is
teacher-forced (the replies that were right), the answer is the model's own: it counts as right when greedy decoding
gives the expected answer to the last token. `--own-history` lets the model write the whole dialogue by itself.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import torch
from transformers import DynamicCache, LlamaForCausalLM, PreTrainedTokenizerFast

from . import path
from .attributes import ATTRIBUTES, Attribute
from .batches import Rows
from .data import Speaker, Turn
from .values import Split

DISTANCES = (1, 2, 5, 10, 20, 40)
FACTS = (1, 3, 6, 10)
SAMPLES = 100


@dataclass(frozen=True)
class Trial:
    """A dialogue whose last turn is the question."""

    turns: Sequence[Turn]
    family: str


def family_of(attribute: Attribute) -> str:
    if attribute not in ATTRIBUTES:
        return "made-up word"
    if attribute.phrase.startswith("favourite "):
        return "favourite"
    return attribute.family


def trial(rng: Random, split: Split, distance: int, facts: int = 1) -> Trial:
    """The fact is told, `distance - 1` turns pass (other facts first, then chat), and it is asked."""
    speaker = Speaker(rng, split)
    wanted = speaker.new_attribute()
    between = rng.randint(max(0, min(facts - 1, distance - 1) // 2), min(facts - 1, distance - 1))
    before = [speaker.tell(_other(speaker, wanted)) for _ in range(facts - 1 - between)]
    turns = [*before, speaker.tell(wanted)]
    turns += [speaker.tell(speaker.new_attribute()) for _ in range(between)]
    turns += [speaker.chat() for _ in range(distance - 1 - between)]
    return Trial([*turns, speaker.ask(wanted)], family_of(wanted))


def _other(speaker: Speaker, wanted: Attribute) -> Attribute:
    while (attribute := speaker.new_attribute()).phrase == wanted.phrase:
        pass
    return attribute


def corrected(rng: Random, split: Split, distance: int) -> Trial:
    """Told, then corrected, then asked; the newest must win."""
    speaker = Speaker(rng, split)
    wanted = speaker.new_attribute()
    turns = [speaker.tell(wanted), *(speaker.tell(speaker.new_attribute()) for _ in range(3)), speaker.correct(wanted)]
    turns += [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.ask(wanted)], "corrected")


def never_told(rng: Random, split: Split, distance: int) -> Trial:
    speaker = Speaker(rng, split)
    turns = [speaker.tell(speaker.new_attribute()) for _ in range(4)] + [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.ask(speaker.new_attribute())], "never told")


def shopping(rng: Random, split: Split, distance: int) -> Trial:
    speaker = Speaker(rng, split)
    turns = [speaker.tell(speaker.new_attribute()), *(speaker.add_to_list() for _ in range(3))]
    turns += [speaker.chat() for _ in range(distance - 1)]
    return Trial([*turns, speaker.ask_list()], "list")


def chatted(rng: Random, split: Split, distance: int) -> Trial:
    speaker = Speaker(rng, split)
    turns = [speaker.tell(speaker.new_attribute()) for _ in range(4)]
    return Trial([*turns, *(speaker.chat() for _ in range(distance))], "small talk")


def noted(rng: Random, split: Split, distance: int) -> Trial:
    """Is what was told understood? The acknowledgement is the answer here."""
    speaker = Speaker(rng, split)
    turns = [speaker.chat() for _ in range(distance)]
    return Trial([*turns, speaker.tell(speaker.new_attribute())], "acknowledgement")


Maker = Callable[[Random, Split, int], Trial]


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
    parser.add_argument("--split", choices=("train", "held_out"), default="held_out")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--own-history", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = LlamaForCausalLM.from_pretrained(arguments.model, dtype=torch.float32)
    judge = Judge(model, Rows(PreTrainedTokenizerFast.from_pretrained(path()), 0))
    right = judge.own_history if arguments.own_history else judge.given_history
    report(right, arguments.split, arguments.samples, arguments.seed)


def report(judge: Callable[[Trial], bool], split: Split, samples: int, seed: int) -> None:
    rng = Random(seed)
    families: dict[str, list[bool]] = {}
    table: dict[str, dict[str, float]] = {}
    print("turns back".ljust(16) + "".join(f"{distance:>7}" for distance in DISTANCES))
    rows: dict[str, Callable[[Random, Split, int], Trial]] = {
        f"{facts} facts": partial(trial, facts=facts) for facts in FACTS
    }
    rows |= {"corrected": corrected, "never told": never_told, "list": shopping, "small talk": chatted, "noted": noted}
    for name, make in rows.items():
        print(name.ljust(16), end="")
        table[name] = cells(judge, partial(make, rng, split), samples, families)
    print("\nby kind of fact, all distances")
    kinds = {family: round(sum(hits) / len(hits), 3) for family, hits in sorted(families.items())}
    for family, share in kinds.items():
        print(f"{family:<16}{share:>7.1%}  of {len(families[family])}")
    print(json.dumps({"split": split, "samples": samples, "seed": seed, "by_distance": table, "by_kind": kinds}))


def cells(
    judge: Callable[[Trial], bool], make: Callable[[int], Trial], samples: int, families: dict[str, list[bool]]
) -> dict[str, float]:
    """One row of the table: the share of right answers at every distance."""
    row: dict[str, float] = {}
    for distance in DISTANCES:
        trials = [make(distance) for _ in range(samples)]
        hits = [judge(one) for one in trials]
        for one, hit in zip(trials, hits, strict=True):
            families.setdefault(one.family, []).append(hit)
        row[str(distance)] = round(sum(hits) / len(hits), 3)
    print("".join(f"{share:>7.0%}" for share in row.values()), flush=True)
    return row


if __name__ == "__main__":
    main()
