"""Drafts change when a reply's tokens come, never which: with and without them all is the same, state included."""

import asyncio
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final

import pytest
from tests.support.engines import all_at_once, collect, running_engine
from tests.support.models import IM_END, TinyModels
from tests.support.reference import random_ids
from tests.support.tokenizer import TOKENIZER_SIZE

from warmturn_server.engine import Engine
from warmturn_server.engine_api import Generated, GenerationRequest, LookbackRequest, ReuseMode, SamplingParams
from warmturn_server.kvcache import RestorePolicy

ROUNDS: Final = int(os.environ.get("WARMTURN_TESTS_DRAFT_ROUNDS", "8"))
MAX_CONTEXT: Final = 256

pytestmark = pytest.mark.slow


@dataclass
class Pair:
    """The same model without drafts and with them."""

    plain: Engine
    drafting: Engine
    counts: dict[str, int] = field(default_factory=lambda: {"drafted": 0, "accepted": 0})

    def ask(self, chance: random.Random, requests: Sequence[GenerationRequest]) -> list[Generated]:
        """In one batch each; with drafts from near copies of what is said without."""
        expected = all_at_once(self.plain, requests)
        copied = [
            replace(request, near_copies=near_copies(chance, (*request.token_ids, *answer.token_ids)))
            for request, answer in zip(requests, expected, strict=True)
        ]
        for answer, other in zip(expected, all_at_once(self.drafting, copied), strict=True):
            self.compare(answer, other)
        return expected

    def compare(self, answer: Generated, other: Generated) -> None:
        assert (other.token_ids, other.text, other.finish_reason) == (
            answer.token_ids,
            answer.text,
            answer.finish_reason,
        )
        assert answer.report.drafts is None
        assert [told.token_id for told in other.logprobs] == [told.token_id for told in answer.logprobs]
        ours, theirs = ([told.logprob for told in said.logprobs] for said in (other, answer))
        assert ours == pytest.approx(theirs, abs=1e-4)
        if drafts := other.report.drafts:
            assert 0 <= drafts.accepted <= min(drafts.drafted, len(answer.token_ids) - 1)
            self.counts["drafted"] += drafts.drafted
            self.counts["accepted"] += drafts.accepted

    def evict(self) -> None:
        for engine in (self.plain, self.drafting):
            engine.flush()
            engine.evict_idle()


@pytest.fixture(scope="module")
def pair(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pytest.MonkeyPatch.context() as patch, ExitStack() as engines:
        patch.setattr(RestorePolicy, "restore_seconds", lambda *_: 0.0)
        settings = {"prefill_budget": 40, "max_context": MAX_CONTEXT}
        plain, drafting = (
            engines.enter_context(
                running_engine(tiny_models(), tmp_path_factory.mktemp(name), drafts=drafts, **settings)
            )
            for name, drafts in (("plain", "off"), ("drafting", 7))
        )
        yield Pair(plain, drafting)


def near_copies(chance: random.Random, token_ids: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """Two, in which about every tenth token is another one, left out, or said twice."""
    return tuple(
        tuple(
            other
            for token_id in token_ids
            for other in chance.choices(
                [(token_id,), (chance.randrange(TOKENIZER_SIZE),), (), (token_id, token_id)], [27, 1, 1, 1]
            )[0]
        )
        for _ in range(2)
    )


def sampling(chance: random.Random, said: str, end: int) -> SamplingParams:
    """All that can change which token is chosen or where a reply ends; `said` and `end` come in such replies."""
    place = chance.randrange(max(len(said) - 6, 1))
    words = said[place : place + chance.randint(1, 4)]
    number = chance.randrange(1000)
    params = SamplingParams(max_tokens=chance.randint(1, 40), temperature=chance.choice([0.0, 0.0, 1.0]), seed=number)
    changes: list[dict[str, object]] = [
        {},
        {"ignore_eos": True},
        {"top_k": 20, "top_p": 0.9, "min_p": 0.01},
        {"presence_penalty": 0.5, "frequency_penalty": 0.7, "repetition_penalty": 1.2},
        {"logit_bias": ((end, 3.0), (number % 99 + 3, -5.0))},
        {"stop": (words,) if words else ()},
        {"stop_token_ids": (end,), "min_tokens": chance.randint(0, params.max_tokens or 0)},
        {"bad_words": (words,) if words.strip() else ()},
        {"logprobs": 3},
    ]
    chosen = {name: value for change in chance.sample(changes, 2) for name, value in change.items()}
    return replace(params, **chosen)  # type: ignore[arg-type]


def test_whatever_is_asked(pair: Pair) -> None:
    """Prompts, wishes, batches, chunks, evictions and turns that go on from a reply or from half of one."""
    chance = random.Random(5)
    said: list[tuple[tuple[int, ...], Generated]] = []
    for _ in range(ROUNDS):
        requests = list[GenerationRequest]()
        for _ in range(chance.randint(1, 5)):
            history, answer = chance.choice(said) if said and chance.random() < 0.7 else ((), None)
            reply = answer.token_ids[: chance.choice([None, len(answer.token_ids) // 2])] if answer else ()
            prompt = (*history, *reply, *random_ids(chance, chance.randint(1, 50)))[-MAX_CONTEXT + 45 :]
            params = sampling(chance, answer.text if answer else "", chance.choice(reply or (IM_END,)))
            requests.append(GenerationRequest(prompt, params, chance.choice([ReuseMode.STATE] * 6 + list(ReuseMode))))
        answers = pair.ask(chance, requests)
        said += [(request.token_ids, answer) for request, answer in zip(requests, answers, strict=True)]
        if chance.random() < 0.4:
            pair.evict()
    assert pair.counts["accepted"] > 5 * ROUNDS
    assert pair.counts["drafted"] > pair.counts["accepted"]


def test_to_the_end_of_the_context(pair: Pair) -> None:
    """Whatever was guessed beyond it is not computed."""
    prompt = random_ids(random.Random(1), MAX_CONTEXT - 21)
    for seed in range(4):
        params = SamplingParams(temperature=float(seed % 2), seed=seed, ignore_eos=True)
        (answer,) = pair.ask(random.Random(seed), [GenerationRequest(prompt, params)])
        assert len(answer.token_ids) == 21


def test_what_was_refused_is_no_state(pair: Pair) -> None:
    """Neither in memory nor in the tiers: a prompt that goes on with a refused guess computes it."""
    prompt = random_ids(random.Random(2), 30)
    greedy = SamplingParams(max_tokens=16, temperature=0.0, ignore_eos=True)
    said = pair.plain.generate(GenerationRequest(prompt, greedy)).token_ids
    wrong = tuple((token_id + 1) % TOKENIZER_SIZE for token_id in said)
    for count in (3, 9):
        misled = (*prompt, *said[:count], *wrong[count:])
        answer = pair.drafting.generate(GenerationRequest(prompt, greedy, near_copies=(misled,)))
        assert answer.token_ids == said
        assert answer.report.drafts is not None
        assert answer.report.drafts.drafted > answer.report.drafts.accepted
        following = GenerationRequest((*misled, 5), replace(greedy, max_tokens=6))
        for _ in range(2):
            told = pair.drafting.generate(following)
            assert told.report.cached_tokens <= len(prompt) + count
            assert told.token_ids == pair.plain.generate(following).token_ids
            pair.drafting.forget("", misled, keep_tokens=len(prompt) + count)
            pair.evict()


def test_stopped_in_mid_reply(pair: Pair) -> None:
    """As much as was told is a beginning of the reply, and the next turn goes on from it."""
    prompt = random_ids(random.Random(3), 20)
    params = SamplingParams(max_tokens=60, temperature=0.0, ignore_eos=True)
    said = pair.plain.generate(GenerationRequest(prompt, params)).token_ids
    request = GenerationRequest(prompt, params, near_copies=((*prompt, *said),))

    async def stopped(count: int) -> tuple[int, ...]:
        generation, told = pair.drafting.submit(request), list[int]()
        async for delta in generation:
            told += delta.token_ids
            if len(told) >= count:
                generation.cancel()
        return tuple(told)

    for count in (1, 2, 9, 30):
        told = asyncio.run(stopped(count))
        assert count <= len(told) <= 60
        assert told == said[: len(told)]
        following = GenerationRequest((*prompt, *told, 7), replace(params, max_tokens=4))
        assert pair.drafting.generate(following).token_ids == pair.plain.generate(following).token_ids


def test_who_asks_what_the_reply_looked_at_goes_without(pair: Pair) -> None:
    prompt = random_ids(random.Random(4), 20)
    params = SamplingParams(max_tokens=12, temperature=0.0, ignore_eos=True)
    looking = LookbackRequest(groups=(1,) * len(prompt), num_groups=2)
    said = pair.plain.generate(GenerationRequest(prompt, params, lookback=looking))
    copied = GenerationRequest(prompt, params, lookback=looking, near_copies=((*prompt, *said.token_ids),))
    answer = pair.drafting.generate(copied)
    assert answer.report.drafts is None
    assert answer.token_ids == said.token_ids
    assert answer.lookback is not None and said.lookback is not None
    assert [look.position for look in answer.lookback.looks] == [look.position for look in said.lookback.looks]


def test_deltas_are_told_token_by_token(pair: Pair) -> None:
    prompt = random_ids(random.Random(6), 20)
    params = SamplingParams(max_tokens=24, temperature=0.0, ignore_eos=True)
    said = pair.plain.generate(GenerationRequest(prompt, params))

    async def told() -> list[tuple[int, ...]]:
        request = GenerationRequest(prompt, params, near_copies=((*prompt, *said.token_ids),))
        return [delta.token_ids async for delta in pair.drafting.submit(request)]

    assert asyncio.run(told()) == [(token_id,) for token_id in said.token_ids]
    assert asyncio.run(collect(pair.drafting, GenerationRequest(prompt, params))).text == said.text
