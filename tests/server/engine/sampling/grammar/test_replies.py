"""Replies of an engine that have a form: whatever else is asked of them, and whatever runs beside them."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

import jsonschema
import pytest
from tests.server.engine.conftest import StartEngine
from tests.support.models import END_OF_TEXT, IM_END, TinyModels
from tests.support.structured import replies_within

from warmturn_server.engine import Engine
from warmturn_server.engine_api import Generated, GenerationRequest, Grammar, ReuseMode, SamplingParams

ENDS: Final = {END_OF_TEXT, IM_END}
PROMPT: Final = (1, 90, 91, 92, 2, 30, 31, 32, 1, 95)
SCHEMA: Final = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "ages": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
    },
    "required": ["name", "ages"],
    "additionalProperties": False,
}
FORM: Final = Grammar("json_schema", json.dumps(SCHEMA))
ONLY: Final = Grammar("choice", '["the name of the cat is Mio, and another one is called Anna"]')
PARAMS: Final = SamplingParams(max_tokens=80, seed=5, grammar=FORM)


def ask(engine: Engine, params: SamplingParams, reuse: ReuseMode = ReuseMode.STATE) -> Generated:
    return engine.generate(GenerationRequest(PROMPT, params, reuse))


def whole(generated: Generated) -> bool:
    """Whether it ended by itself, with the one token that ends a reply; then it is as the schema says."""
    if generated.finish_reason != "stop":
        return False
    assert [token_id in ENDS for token_id in generated.token_ids] == [False] * (len(generated.token_ids) - 1) + [True]
    jsonschema.validate(json.loads(generated.text), SCHEMA)
    return True


def test_replies_to_random_schemas_are_what_these_say(engine: Engine) -> None:
    """The short form of `python -m tests.benchmarks.schemas`."""
    replies = replies_within(engine, PROMPT, range(24), max_tokens=150)
    assert (replies.wrong, replies.refused) == ({}, {})
    assert replies.completed >= 16


def test_one_that_does_not_come_to_its_end_is_cut_short(engine: Engine) -> None:
    text = Grammar("regex", "[a-z ]{200}")
    cut = ask(engine, replace(PARAMS, grammar=text, max_tokens=10))
    assert (cut.finish_reason, len(cut.token_ids)) == ("length", 10)
    assert set(cut.text) <= set("abcdefghijklmnopqrstuvwxyz ")


@pytest.mark.parametrize(
    "params",
    [
        replace(PARAMS, temperature=0.0),
        PARAMS,
        replace(PARAMS, frequency_penalty=1.0, presence_penalty=0.5, repetition_penalty=1.2),
        replace(PARAMS, top_p=0.5, min_p=0.01),
        replace(PARAMS, top_k=3, logprobs=2),
        replace(PARAMS, logit_bias=((30, 5.0), (3, -100.0))),
        replace(PARAMS, bad_words=("ag",)),
    ],
    ids=["greedy", "seed", "penalties", "nucleus", "logprobs", "bias", "bad words"],
)
def test_it_goes_with_all_that_chooses_tokens_and_is_the_same_each_time(engine: Engine, params: SamplingParams) -> None:
    if params.bad_words:
        params = replace(params, grammar=Grammar("regex", "[a-z]{12}"))
        assert "ag" not in ask(engine, params).text
        return
    alone = [ask(engine, params, reuse) for reuse in ReuseMode]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda _: ask(engine, params), range(3)))
    assert {each.token_ids for each in [*alone, *together]} == {alone[0].token_ids}
    assert whole(alone[0]) or len(alone[0].token_ids) == 80
    assert [len(each.logprobs) for each in alone] == [len(alone[0].token_ids) if params.logprobs else 0] * 3


def test_beside_it_others_say_what_they_would_say_anyway(engine: Engine) -> None:
    free = SamplingParams(max_tokens=30, seed=9)
    alone = ask(engine, free).token_ids
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda params: ask(engine, params), [PARAMS, free, PARAMS, free]))
    assert {beside[1].token_ids, beside[3].token_ids} == {alone}


def test_log_probabilities_are_the_models_own(engine: Engine) -> None:
    """So the chosen one may be far behind those that the form does not allow."""
    said = ask(engine, replace(PARAMS, temperature=0.0, logprobs=5, grammar=Grammar("choice", '["zzzz"]')))
    assert said.text == "zzzz"
    assert all(entry.logprob < entry.top[0][1] for entry in said.logprobs[:2])


def test_a_stop_string_cuts_it_as_it_cuts_any_reply(engine: Engine) -> None:
    said = ask(engine, replace(PARAMS, grammar=Grammar("choice", '["one, two"]'), stop=(",",)))
    assert (said.text, said.finish_reason) == ("one", "stop")


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("grammar", [ONLY, FORM], ids=["one text", "object"])
def test_what_the_form_forces_takes_no_step_of_its_own(engine: Engine, grammar: Grammar, temperature: float) -> None:
    params = replace(PARAMS, grammar=grammar, temperature=temperature)
    plain, said = ask(engine, params, ReuseMode.NOTHING), ask(engine, params)
    assert (said.token_ids, said.text, said.finish_reason) == (plain.token_ids, plain.text, plain.finish_reason)
    drafts = said.report.drafts
    assert plain.report.drafts is None and drafts is not None
    if grammar is ONLY:
        assert drafts.drafted == drafts.accepted >= len(said.token_ids) - 2
    else:
        assert drafts.accepted >= 5


def test_after_a_restart_it_is_the_same(start_engine: StartEngine) -> None:
    first = start_engine()
    said = ask(first, PARAMS)
    first.close()
    again = start_engine()
    assert ask(again, PARAMS).token_ids == said.token_ids
    assert again.stats()["tiers"]


def test_a_model_with_padded_outputs(start_engine: StartEngine, tiny_models: TinyModels) -> None:
    engine = start_engine(tiny_models("qwen2"))
    replies = replies_within(engine, PROMPT, range(100, 108), max_tokens=150)
    assert (replies.wrong, replies.refused) == ({}, {})
    assert replies.completed >= 4
