"""Replies that have to call, and calls that have to be what their schemas say: what the grammar allows is a call."""

import random
import re
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.tokenizer import tiny_tokenizer
from tokenizers import AddedToken, Tokenizer

from warmturn_server.chat import CALL_FORMATS, Calling, ToolRules
from warmturn_server.chat.calls.forced import relaxed, with_calls
from warmturn_server.chat.calls.formats import CallFormat
from warmturn_server.chat.calls.regions import read_region
from warmturn_server.engine.sampling.grammar.grammars import Grammars
from warmturn_server.engine_api import Grammar, SamplingParams
from warmturn_server.errors import InvalidRequest

END = 2
MARKS = re.compile(r"<[|｜](?!DSML)[^<>]+?[|｜]>|\[[A-Z_]+\]")
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Oslo", "Köln"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "deep": {"type": "object", "properties": {"a": {"type": "boolean"}}, "additionalProperties": False},
    },
    "required": ["city", "days"],
}


def tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": "", "parameters": schema}}


TOOLS = [tool("weather", SCHEMA), tool("mail", {"type": "object", "properties": {}})]
STRICT = ToolRules(strict=frozenset({"weather", "mail"}))
FORMS = ("hermes", "llama", "mistral-list", "mistral", "command", "deepseek-v3", "deepseek-v3.2", "glm", "qwen-coder")


def tokenizer_of(form: CallFormat) -> tuple[Tokenizer, Calling]:
    tokenizer = tiny_tokenizer()
    marks = sorted({*MARKS.findall("".join([*form.openings, *form.spelled, form.ending]))})
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    return tokenizer, Calling(form, frozenset(marks), several=form.name != "llama")


def written(tokenizer: Tokenizer, grammar: Grammar, begins: str, seed: int) -> str:
    """What a model without any thought writes within it, behind a beginning that it chose."""
    chooses, size = random.Random(seed), tokenizer.get_vocab_size()
    grammars = Grammars(tokenizer, size, frozenset({END}))
    try:
        mask, ids, wanted = grammars.mask(grammar, ""), list[int](), tokenizer.encode(begins).ids
        while len(ids) < 400:
            allowed = np.flatnonzero(mask.mask(torch.zeros(size)).numpy() == 0)
            ends = END in allowed and len(ids) >= len(wanted)
            if ends and (len(allowed) == 1 or chooses.random() < 0.7):
                break
            ids.append(wanted[len(ids)] if len(ids) < len(wanted) else int(chooses.choice(allowed[allowed != END])))
            assert ids[-1] in allowed
            mask.advance(ids[-1])
    finally:
        grammars.shutdown()
    return str(tokenizer.decode(ids, skip_special_tokens=False))


def calls_in(form: CallFormat, text: str) -> list[tuple[str, dict[str, Any] | None]]:
    region = read_region(form, text, text.index(form.opening))
    return [(call.name, call.given) for call in region.calls] if region else []


def check(calls: list[tuple[str, dict[str, Any] | None]], form: CallFormat) -> None:
    assert calls
    for name, given in calls:
        assert given is not None
        if name == "weather":
            assert given["city"] in ("Oslo", "Köln")
            assert str(given["days"]) in "123456789", form.name
            assert given.keys() <= SCHEMA["properties"].keys()  # type: ignore[attr-defined]
        else:
            assert (name, given) == ("mail", {})


@pytest.mark.parametrize("name", FORMS)
def test_a_reply_that_has_to_call_calls(name: str) -> None:
    form = CALL_FORMATS[name]
    tokenizer, calling = tokenizer_of(form)
    only = ToolRules(must_call=True, several=False, only=frozenset({"weather"}))
    for rules in (ToolRules(must_call=True), only):
        params = with_calls(SamplingParams(), TOOLS, rules, calling, tokenizer.token_to_id)
        assert params.grammar is not None
        calls = calls_in(form, written(tokenizer, params.grammar, "", seed=1))
        check(calls, form)
        if rules is only:
            assert [called for called, _ in calls] == ["weather"]


def test_a_property_may_be_anything_or_nothing() -> None:
    """A JSON schema may be true or false, and the values of an enumeration null."""
    tokenizer, calling = tokenizer_of(CALL_FORMATS["qwen-coder"])
    properties = {"a": True, "b": False, "c": {"type": "string", "enum": None}}
    odd = tool("odd", {"type": "object", "properties": properties, "required": ["a", "c"]})
    params = with_calls(SamplingParams(), [odd], ToolRules(must_call=True), calling, tokenizer.token_to_id)
    assert params.grammar is not None
    values = "<parameter=a>\n7\n</parameter>\n<parameter=c>\nx\n</parameter>\n"
    text = written(tokenizer, params.grammar, f"<tool_call>\n<function=odd>\n{values}</function>\n</tool_call>", seed=1)
    assert calls_in(calling.form, text)[0] == ("odd", {"a": "7", "c": "x"})


@pytest.mark.parametrize("name", ["hermes", "mistral-list", "qwen-coder"])
def test_a_reply_that_may_call_says_something_first_and_calls_strictly(name: str) -> None:
    form = CALL_FORMATS[name]
    tokenizer, calling = tokenizer_of(form)
    rules = STRICT
    params = with_calls(SamplingParams(), TOOLS, rules, calling, tokenizer.token_to_id)
    assert params.grammar is not None
    text = written(tokenizer, params.grammar, f"1 < 2. {form.opening}", seed=2)
    assert text.startswith("1 < 2. ")
    check(calls_in(form, text), form)
    assert written(tokenizer, params.grammar, "fine <too", seed=0).startswith("fine <too")


def test_an_answer_in_a_form_or_a_call() -> None:
    tokenizer, calling = tokenizer_of(CALL_FORMATS["hermes"])
    answer = Grammar("json_schema", '{"type": "integer", "minimum": 0, "maximum": 9}', given_as="text.format")
    params = with_calls(SamplingParams(grammar=answer), TOOLS, STRICT, calling, tokenizer.token_to_id)
    assert params.grammar is not None
    assert written(tokenizer, params.grammar, "7", seed=0) == "7"
    check(calls_in(calling.form, written(tokenizer, params.grammar, "<tool_call>", seed=0)), calling.form)
    with pytest.raises(InvalidRequest, match="guided_regex cannot be asked for together with tools"):
        asked = SamplingParams(grammar=Grammar("regex", "a", given_as="guided_regex"))
        with_calls(asked, TOOLS, ToolRules(), calling, tokenizer.token_to_id)


def test_who_wants_no_call_gets_none() -> None:
    tokenizer, calling = tokenizer_of(CALL_FORMATS["mistral"])
    params = with_calls(SamplingParams(), TOOLS, ToolRules(may_call=False), calling, tokenizer.token_to_id)
    assert params.logit_bias == ((tokenizer.token_to_id("[TOOL_CALLS]"), -100.0),)
    tokenizer, calling = tokenizer_of(CALL_FORMATS["hermes"])
    params = with_calls(SamplingParams(), TOOLS, ToolRules(may_call=False), calling, tokenizer.token_to_id)
    assert (params.bad_words, params.grammar) == (("<tool_call>",), None)


def test_a_schema_that_cannot_be_carried_out_is_left_to_the_model_unless_it_is_strict() -> None:
    tokenizer, calling = tokenizer_of(CALL_FORMATS["hermes"])
    odd = [tool("odd", {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}})]
    grammars = Grammars(tokenizer, tokenizer.get_vocab_size(), frozenset({END}))

    def compiles(grammar: Grammar) -> None:
        grammars.compiled(grammar, "")

    (loose,) = relaxed(odd, ToolRules(must_call=True), compiles)
    assert "uniqueItems" not in str(loose)
    rules = ToolRules(strict=frozenset({"odd"}), places={"odd": "tools[0].parameters"})
    assert relaxed(odd, rules, compiles) == odd
    params = with_calls(SamplingParams(), odd, rules, calling, tokenizer.token_to_id)
    assert params.grammar is not None
    with pytest.raises(InvalidRequest) as refused:
        grammars.compiled(params.grammar, "")
    assert refused.value.param == "tools[0].parameters.properties.a"
    grammars.shutdown()
