"""One generation from request to its end: when it ends, what it says, and that it can be stopped."""

import asyncio
import random
from dataclasses import replace

import pytest
import torch
from tests.server.engine.conftest import StartEngine
from tests.support.engines import all_at_once, collect, greedy
from tests.support.models import END_OF_TEXT, IM_END
from tests.support.reference import Reference, random_ids
from tests.support.steps import Steps

from warmturn_server.engine import Engine, ModelRunner, Vocabulary, Work
from warmturn_server.engine.admission import Admission
from warmturn_server.engine_api import Generated, GenerationRequest, ReuseMode, SamplingParams, TokenDelta
from warmturn_server.errors import EngineFailed

PROMPT = random_ids(random.Random(0), 12)


def ask(engine: Engine, **sampling: object) -> Generated:
    params = replace(SamplingParams(max_tokens=20, temperature=0.0, ignore_eos=True), **sampling)  # type: ignore[arg-type]
    return engine.generate(GenerationRequest(PROMPT, params))


@pytest.fixture(scope="module")
def answer(engine: Engine) -> Generated:
    return ask(engine)


def test_the_text_is_the_decoded_ids(engine: Engine, answer: Generated) -> None:
    assert engine.vocabulary.tokenizer.decode(list(answer.token_ids)).startswith(answer.text)
    assert len(answer.text) > 10


def test_it_ends_after_max_tokens(engine: Engine, answer: Generated) -> None:
    for count in (1, 2, 7):
        shorter = ask(engine, max_tokens=count)
        assert shorter.token_ids == answer.token_ids[:count]
        assert shorter.finish_reason == "length"


@pytest.mark.parametrize("position", [0, 5])
def test_it_ends_with_an_end_token_which_is_told_but_not_shown(
    engine: Engine, answer: Generated, monkeypatch: pytest.MonkeyPatch, position: int
) -> None:
    ending = answer.token_ids[position]
    monkeypatch.setattr(engine, "vocabulary", Vocabulary(engine.vocabulary.tokenizer, frozenset({ending})))
    ended = ask(engine, ignore_eos=False)
    count = answer.token_ids.index(ending) + 1
    assert ended.token_ids == answer.token_ids[:count]
    assert ended.finish_reason == "stop"
    assert ended.text == engine.vocabulary.tokenizer.decode(list(answer.token_ids[: count - 1])).rstrip("�")
    ignored = ask(engine, ignore_eos=True).token_ids
    assert (ignored[: count - 1], len(ignored)) == (answer.token_ids[: count - 1], len(answer.token_ids))
    assert ending not in ignored, "it is never chosen: nothing could go on from a text that it stands in"


def test_the_models_own_end_tokens_are_known(engine: Engine) -> None:
    assert engine.vocabulary.eos_token_ids == {END_OF_TEXT, IM_END}


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_it_ends_before_a_stop_string_wherever_that_lies(engine: Engine, answer: Generated, length: int) -> None:
    """At every place of the text, so that every token border is crossed."""
    text = answer.text
    for start in range(0, len(text) - length, 2):
        stop = text[start : start + length]
        stopped = ask(engine, stop=(stop,))
        assert stopped.text == text[: text.index(stop)]
        assert stopped.finish_reason == "stop"
        shown = engine.vocabulary.tokenizer.decode(list(stopped.token_ids))
        assert stop in shown
        assert stopped.token_ids == answer.token_ids[: len(stopped.token_ids)]


@pytest.mark.usefixtures("restoring_always_wins")
def test_state_is_saved_up_to_what_was_shown(start_engine: StartEngine, answer: Generated) -> None:
    """That is where the next prompt goes on, however blocks are cut."""
    engine, text = start_engine(), answer.text
    stop = text[len(text) // 2 :][:3]
    stopped = ask(engine, stop=(stop,))
    cut = next(
        count
        for count in range(len(stopped.token_ids), -1, -1)
        if stopped.text.startswith(engine.vocabulary.tokenizer.decode(list(stopped.token_ids[:count])))
    )
    assert cut < len(stopped.token_ids) - 1
    engine.flush()
    engine.evict_idle()
    following = greedy((*PROMPT, *stopped.token_ids[:cut], IM_END, 30), 1)
    assert engine.generate(following).report.cached_tokens == len(PROMPT) + cut


def test_a_stop_string_that_does_not_come_changes_nothing(engine: Engine, answer: Generated) -> None:
    unfinished = answer.text[-2:] + "never"
    assert ask(engine, stop=("never", unfinished)).text == answer.text


def test_deltas_add_up_and_only_the_last_one_is_final(engine: Engine, answer: Generated) -> None:
    async def deltas() -> list[TokenDelta]:
        return [delta async for delta in engine.submit(greedy(PROMPT, 20))]

    told = asyncio.run(deltas())
    assert [delta.finish is not None for delta in told] == [False] * (len(told) - 1) + [True]
    assert tuple(token_id for delta in told for token_id in delta.token_ids) == answer.token_ids
    assert "".join(delta.text for delta in told) == answer.text


def test_logprobs_are_those_of_the_model(engine: Engine, reference: Reference) -> None:
    answer = engine.generate(greedy(PROMPT, 6))
    expected = torch.log_softmax(reference.logits(PROMPT + answer.token_ids)[len(PROMPT) - 1 : -1], dim=-1)
    assert [told.token_id for told in answer.logprobs] == list(answer.token_ids)
    for told, row in zip(answer.logprobs, expected, strict=True):
        assert told.logprob == pytest.approx(float(row[told.token_id]), abs=1e-4)
        assert [token_id for token_id, _ in told.top] == row.topk(2).indices.tolist()


@pytest.mark.parametrize("reuse", ReuseMode)
def test_a_cancelled_one_stops_at_the_next_step(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, reuse: ReuseMode
) -> None:
    steps = Steps(monkeypatch)

    async def cancel_after_three() -> list[TokenDelta]:
        generation = engine.submit(greedy(PROMPT, 500, reuse))
        told = [await anext(generation) for _ in range(3)]
        generation.cancel()
        return told + [delta async for delta in generation]

    told = asyncio.run(cancel_after_three())
    finish = told[-1].finish
    assert finish is not None
    assert finish.reason == "cancelled"
    assert len(told) < 60
    engine.flush()
    count = len(steps.seen)
    engine.flush()
    assert len(steps.seen) == count
    assert engine.num_running == 0


def test_cancelling_during_the_prefill_stops_after_the_chunk(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)

    async def cancel_at_once() -> list[TokenDelta]:
        steps.hold()
        generation = engine.submit(greedy(random_ids(random.Random(1), 1500), 5, ReuseMode.PROMPT))
        await asyncio.sleep(0.05)
        generation.cancel()
        steps.go_on()
        return [delta async for delta in generation]

    told = asyncio.run(cancel_at_once())
    finish = told[-1].finish
    assert [delta.token_ids for delta in told] == [()]
    assert finish is not None
    assert finish.report.prefilled_tokens <= 16
    assert len(steps.seen) <= 2


def test_cancelling_one_that_waits(start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = start_engine(kv_memory=150_000)
    steps = Steps(monkeypatch)

    async def cancel_the_second() -> tuple[TokenDelta, Generated]:
        steps.hold()
        first = asyncio.create_task(collect(engine, greedy(PROMPT, 100)))
        await asyncio.sleep(0.05)
        second = engine.submit(greedy(PROMPT, 100))
        second.cancel()
        steps.go_on()
        return await anext(second), await first

    cancelled, first = asyncio.run(cancel_the_second())
    assert cancelled.finish is not None
    assert cancelled.finish.reason == "cancelled"
    report = cancelled.finish.report
    assert report.queue_ms >= 0
    assert (report.ttft_ms, report.prefill_ms, report.saved_ms) == (None, None, None)
    assert (report.cached_tokens, report.prefilled_tokens) == (0, 0)
    assert len(first.token_ids) == 100


def test_cancelling_twice_or_too_late_is_harmless(engine: Engine) -> None:
    async def cancel_too_often() -> None:
        generation = engine.submit(greedy(PROMPT, 3))
        told = [delta async for delta in generation]
        generation.cancel()
        generation.cancel()
        assert told[-1].finish is not None
        assert told[-1].finish.reason == "length"
        with pytest.raises(StopAsyncIteration):
            await anext(generation)

    asyncio.run(cancel_too_often())


def test_many_cancels_at_random_never_cross_answers(engine: Engine, reference: Reference) -> None:
    """A reply never reaches somebody who asked something else."""
    turns = [reference.conversation(1, seed=100 + n, user_tokens=5 + n, reply_tokens=8)[0] for n in range(6)]
    chance = random.Random(0)

    async def one(number: int) -> None:
        turn = turns[number % len(turns)]
        generation = engine.submit(greedy(turn.prompt, 8))
        stop_after = chance.choice([0, 1, 3, 99])
        told: list[int] = []
        async for delta in generation:
            told += delta.token_ids
            if len(told) >= stop_after:
                generation.cancel()
        assert tuple(told) == turn.reply[: len(told)]

    async def many() -> None:
        await asyncio.gather(*(one(number) for number in range(60)))

    asyncio.run(many())
    assert engine.generate(greedy(turns[0].prompt, 8)).token_ids == turns[0].reply


def test_a_seed_repeats_alone_and_in_any_company(engine: Engine) -> None:
    def request(seed: int, **changes: object) -> GenerationRequest:
        params = replace(SamplingParams(max_tokens=25, seed=seed, ignore_eos=True), **changes)  # type: ignore[arg-type]
        return GenerationRequest(PROMPT, params)

    alone = engine.generate(request(7)).token_ids
    assert engine.generate(request(7)).token_ids == alone
    assert engine.generate(request(8)).token_ids != alone
    for company in range(3):
        others = [request(100 + company * 10 + n, temperature=0.5 + n / 4, top_k=n) for n in range(7)]
        place = company * 3
        together = all_at_once(engine, [*others[:place], request(7), *others[place:]])
        assert together[place].token_ids == alone


def test_top_k_1_is_greedy(engine: Engine, answer: Generated) -> None:
    assert ask(engine, temperature=1.0, top_k=1).token_ids == answer.token_ids


def test_penalties_change_the_answer_the_same_way_in_every_mode(engine: Engine, answer: Generated) -> None:
    params = SamplingParams(
        max_tokens=20, temperature=0.0, ignore_eos=True, frequency_penalty=1.5, repetition_penalty=1.3
    )
    told = {engine.generate(GenerationRequest(PROMPT, params, reuse)).token_ids for reuse in ReuseMode}
    assert len(told) == 1
    assert told != {answer.token_ids}


def test_a_failed_step_fails_its_sequences_and_nobody_else(
    engine: Engine, answer: Generated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> torch.Tensor:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as failing:
        failing.setattr(ModelRunner, "forward", fail)
        with pytest.raises(EngineFailed, match="out of luck"):
            ask(engine)
    assert ask(engine).token_ids == answer.token_ids
    assert engine.num_running == 0


def test_a_step_that_fails_half_way_leaves_no_wrong_state(
    engine: Engine, answer: Generated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the failed step wrote into buffers is never gone on from."""
    forward, calls = ModelRunner.forward, 0

    def fail_later(runner: ModelRunner, step: list[Work]) -> torch.Tensor:
        nonlocal calls
        calls += 1
        logits = forward(runner, step)
        if calls == 6:
            raise RuntimeError("half way")
        return logits

    with monkeypatch.context() as failing:
        failing.setattr(ModelRunner, "forward", fail_later)
        with pytest.raises(EngineFailed):
            ask(engine)
    assert ask(engine).token_ids == answer.token_ids


def test_a_failed_admission_fails_its_sequence_and_nobody_else(
    engine: Engine, answer: Generated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as failing:
        failing.setattr(Admission, "_begin", fail)
        with pytest.raises(EngineFailed):
            ask(engine)
    assert ask(engine).token_ids == answer.token_ids


def test_closing_ends_what_runs_and_saves_what_is_done(start_engine: StartEngine, answer: Generated) -> None:
    engine = start_engine()
    assert ask(engine).token_ids == answer.token_ids
    engine.close()
    again = start_engine()
    assert again.generate(greedy((*PROMPT, *answer.token_ids, 9), 1)).report.cached_by_tier["disk"] > 0
