"""Turns by chance: begun, continued, forked, edited, repeated, together, after evictions, restarts and deletions."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults.row import Outcome, Row, Trial
from tests.support.engines import BLOCK_SIZE, all_at_once, greedy, running_engine
from tests.support.models import make_model
from tests.support.reference import Reference, assert_greedy, random_ids

from warmturn_server.engine_api import Generated, ReuseMode
from warmturn_server.kvcache import RestorePolicy

Tokens = tuple[int, ...]
_CONVERSATIONS = 6
_LONGEST = 160
_WORDS = 2 * BLOCK_SIZE + 1
_REPLY_TOKENS = BLOCK_SIZE + 1


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    model = make_model(folder / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RestorePolicy, "restore_seconds", lambda *_: 0.0)  # so tiny a model computes faster than it reads
        fuzz = _Fuzz(model, folder / "data")
        try:
            yield fuzz.try_once
        finally:
            fuzz.close()


class _Fuzz:
    """Some conversations, each known by its tokens, on an engine that is opened again with other settings."""

    def __init__(self, model: Path, data_dir: Path) -> None:
        self._model, self._data_dir = model, data_dir
        self._oracle = Reference(model)
        self._known: list[Tokens] = [()] * _CONVERSATIONS
        self._open({})

    def _open(self, settings: dict[str, object]) -> None:
        self._running = running_engine(self._model, self._data_dir, **settings)
        self._engine = self._running.__enter__()

    def close(self) -> None:
        self._running.__exit__(None, None, None)

    def try_once(self, _: int, chance: random.Random) -> Outcome:
        """What happens to the state, then a turn."""
        before: Callable[[random.Random], None] = chance.choices(
            [self._nothing, self._evict, self._damage, self._delete, self._restart], [10, 6, 2, 2, 1]
        )[0]
        before(chance)
        turns = [self._go_on, self._fork, self._edit, self._transplant, self._repeat, self._together]
        return chance.choices(turns, [8, 3, 3, 2, 3, 3])[0](chance)

    def _nothing(self, _: random.Random) -> None: ...

    def _evict(self, _: random.Random) -> None:
        self._engine.flush()
        self._engine.evict_idle()

    def _damage(self, chance: random.Random) -> None:
        self._evict(chance)
        if files := sorted(self._data_dir.rglob("*.kv")):
            path = chance.choice(files)
            content = bytearray(path.read_bytes())
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            path.write_bytes(content[: chance.choice([len(content), chance.randrange(len(content))])])

    def _delete(self, chance: random.Random) -> None:
        number = chance.randrange(_CONVERSATIONS)
        self._engine.forget("", self._known[number])
        self._known[number] = ()

    def _restart(self, chance: random.Random) -> None:
        self.close()
        self._open(
            {
                "prefill_budget": chance.choice([3, 16, 512]),
                "ram_cache": chance.choice([0, 30_000, 10**8]),
                "disk_cache": chance.choice([0, 60_000, 10**8]),
                "kv_memory": chance.choice([1_000_000, 10**8]),
            }
        )

    def _go_on(self, chance: random.Random) -> Outcome:
        number = chance.randrange(_CONVERSATIONS)
        return self._say(chance, number, self._known[number], ReuseMode.STATE)

    def _fork(self, chance: random.Random) -> Outcome:
        other = chance.choice(self._known)
        return self._say(chance, chance.randrange(_CONVERSATIONS), _beginning(chance, other), ReuseMode.STATE)

    def _edit(self, chance: random.Random) -> Outcome:
        number = chance.randrange(_CONVERSATIONS)
        return self._say(chance, number, _beginning(chance, self._known[number]), ReuseMode.STATE)

    def _transplant(self, chance: random.Random) -> Outcome:
        """One conversation's words after another's: what is saved of them there is of no use here."""
        one, other = chance.sample(self._known, 2)
        at = chance.randrange(0, min(len(one), len(other)) + 1, BLOCK_SIZE)
        return self._say(chance, chance.randrange(_CONVERSATIONS), one[:at] + other[at:], ReuseMode.STATE)

    def _repeat(self, chance: random.Random) -> Outcome:
        """In any mode: nothing of a reply that there was may show."""
        known = chance.choice(self._known) or random_ids(chance, 1)
        prompt, count = _beginning(chance, known) or known[:1], chance.randint(1, _REPLY_TOKENS)
        return self._checked([prompt], [self._engine.generate(greedy(prompt, count, chance.choice(list(ReuseMode))))])

    def _together(self, chance: random.Random) -> Outcome:
        count = chance.randint(1, _REPLY_TOKENS)
        prompts = [known + _words(chance) for known in chance.sample(self._known, chance.randint(2, 4))]
        return self._checked(prompts, all_at_once(self._engine, [greedy(prompt, count) for prompt in prompts]))

    def _say(self, chance: random.Random, number: int, history: Tokens, reuse: ReuseMode) -> Outcome:
        history = history if len(history) <= _LONGEST else ()
        prompt = history + _words(chance)
        request = greedy(prompt, chance.randint(1, _REPLY_TOKENS), reuse, known_tokens=max(len(history) - 1, 0))
        answer = self._engine.generate(request)
        self._known[number] = prompt + answer.token_ids
        return self._checked([prompt], [answer])

    def _checked(self, prompts: list[Tokens], answers: list[Generated]) -> Outcome:
        for prompt, answer in zip(prompts, answers, strict=True):
            assert_greedy(self._oracle, prompt, answer.token_ids, ignore_eos=True)
            report = answer.report
            assert report.cached_tokens + report.prefilled_tokens == report.prompt_tokens == len(prompt)
            assert sum(report.cached_by_tier.values()) == report.cached_tokens < report.prompt_tokens
        reused = sum(answer.report.cached_tokens for answer in answers)
        output = sum(len(answer.token_ids) for answer in answers)
        return Outcome(Counter({"turns": len(answers), "tokens reused": reused, "tokens answered": output}))


def _words(chance: random.Random) -> Tokens:
    return random_ids(chance, chance.randint(1, _WORDS))


def _beginning(chance: random.Random, known: Tokens) -> Tokens:
    return known[: chance.randint(0, len(known))]


ROW = Row(
    "fuzzed-turns",
    "every answer is the one that computing everything gives",
    long=7_500,
    short=200,
    rig=_rig,
)
