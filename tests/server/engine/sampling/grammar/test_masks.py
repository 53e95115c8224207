"""A grammar's masks, without a model: a walk through what they allow ends in what the grammar says."""

import json
import random
import re
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pytest
import torch
from tests.server.chat.transcript import tokenizers_of_other_kinds as kinds
from tests.support.models import END_OF_TEXT, IM_END, IM_START
from tests.support.schemas import random_schema
from tests.support.structured import what_is_wrong
from tests.support.tokenizer import TOKENIZER_SIZE, tiny_tokenizer
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from warmturn_server.engine.sampling.grammar import grammars as grammars_module
from warmturn_server.engine.sampling.grammar.grammars import Grammars
from warmturn_server.engine.sampling.grammar.mask import GrammarMask
from warmturn_server.engine.sampling.grammar.source import source_of
from warmturn_server.engine_api import Grammar, Thought, TokenStream
from warmturn_server.errors import InvalidRequest, NothingAllowed

ENDS = frozenset({IM_END})
ONE = Grammar("regex", "the cat[0-9]", given_as="guided_regex")


@pytest.fixture(scope="module")
def grammars() -> Grammars:
    return Grammars(tiny_tokenizer(), TOKENIZER_SIZE, ENDS)


def token(text: str) -> int:
    token_id = tiny_tokenizer().token_to_id(text)
    assert token_id is not None
    return token_id


def allowed(mask: GrammarMask, size: int = TOKENIZER_SIZE) -> list[int]:
    masked = mask.mask(torch.zeros(size))
    return torch.nonzero(masked.isfinite())[:, 0].tolist()


def walk(mask: GrammarMask, tokenizer: Tokenizer, ends: frozenset[int], rng: random.Random) -> str | None:
    """What comes of choosing any of the allowed tokens, ends first, as the engine tells it; None if it never ends."""
    stream, said = TokenStream(tokenizer), ""
    for _ in range(400):
        choices = allowed(mask, tokenizer.get_vocab_size())
        over = ends.intersection(choices)
        token_id = min(over) if over else rng.choice(choices)
        if token_id in ends:
            return said + stream.finish()
        said += stream.step(token_id)
        mask.advance(token_id)
    return None


def schema(of: Any, **options: Any) -> Grammar:
    return Grammar("json_schema", json.dumps(of), given_as="text.format.schema", **options)


@pytest.mark.parametrize(
    ("grammar", "form"),
    [
        (ONE, "the cat[0-9]"),
        (Grammar("choice", json.dumps(["yes", 'a "no"\n', "😀"])), 'yes|a "no"\n|😀'),
        (Grammar("grammar", 'root ::= "the " ("cat" | "dog") [a-c]{2}'), "the (cat|dog)[a-c]{2}"),
        (Grammar("grammar", 'start: "the " WORD\nWORD: /[x-z]{3}/'), "the [x-z]{3}"),
        (schema({"enum": ["a", 2, None]}), '"a"|2|null'),
        (schema({"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 2}, whitespace=""), r"\[1,1\]"),
        (
            schema({"type": "array", "items": {"const": 1}, "minItems": 2, "maxItems": 2}, whitespace="_"),
            r"\[_?1_?,_?1_?\]",
        ),
    ],
    ids=["regex", "choice", "gbnf", "lark", "enum", "no whitespace", "whitespace of its own"],
)
def test_what_it_allows_is_the_form_and_nothing_beyond(grammars: Grammars, grammar: Grammar, form: str) -> None:
    said = {walk(grammars.mask(grammar, ""), tiny_tokenizer(), ENDS, random.Random(seed)) for seed in range(8)}
    assert all(text is not None and re.fullmatch(form, text) for text in said), said
    assert len(said) > 1 or "1" in form


@pytest.mark.parametrize(
    "make",
    [kinds.puts_a_space_first, kinds.marks_spaces, kinds.lowercases, kinds.composes],
    ids=lambda make: make.__name__,
)
def test_whatever_kind_of_tokenizer_the_model_has(make: Callable[[], PreTrainedTokenizerFast]) -> None:
    """What is told to the caller is what counts: some decoders drop a space that the first token has."""
    tokenizer = make().backend_tokenizer
    ends = frozenset({tokenizer.token_to_id("<|im_end|>") or 0})
    grammars = Grammars(tokenizer, tokenizer.get_vocab_size(), ends)
    ended = 0
    for seed in range(12):
        form = random_schema(seed, depth=2)
        text = walk(grammars.mask(schema(form), ""), tokenizer, ends, random.Random(seed))
        ended += text is not None
        assert text is None or what_is_wrong(form, text) is None
    assert ended > 6


def test_special_tokens_are_no_text_even_if_the_grammar_names_them(grammars: Grammars) -> None:
    mask = grammars.mask(Grammar("grammar", 'start: "a" <|im_start|> "b" | "ac"'), "")
    mask.advance(token("a"))
    assert IM_START not in allowed(mask)
    assert token("c") in allowed(mask)


def test_ids_that_no_token_has_are_not_allowed() -> None:
    """Models pad their output; and some tokenizers have more tokens than the model has outputs."""
    for size in (TOKENIZER_SIZE + 16, TOKENIZER_SIZE - 8):
        mask = Grammars(tiny_tokenizer(), size, ENDS).mask(Grammar("regex", "(?s:.)*"), "")
        found = allowed(mask, size)
        assert IM_END in found
        assert len(found) > 280
        assert max(found) < min(size, TOKENIZER_SIZE)


def test_the_end_is_allowed_where_the_form_is_whole(grammars: Grammars) -> None:
    mask = grammars.mask(Grammar("regex", "t(he cat)?"), "")
    assert IM_END not in allowed(mask)
    assert not mask.leaves(IM_END)
    mask.advance(token("t"))
    assert mask.leaves(IM_END)
    mask.advance(token("h"))
    assert IM_END not in allowed(mask)


def test_forced_tokens_are_the_only_ones_allowed_one_behind_the_other(grammars: Grammars) -> None:
    mask, forced = grammars.mask(Grammar("regex", "(the|a) cat (is called|was) Mio"), ""), 0
    while (choices := allowed(mask)) != [IM_END]:
        for token_id in mask.forced:
            assert allowed(mask) == [token_id]
            mask.advance(token_id)
            forced += 1
        if len(choices) > 1:
            assert mask.forced == ()
            mask.advance(max(choices))
    assert forced >= 6
    mask.advance(IM_END)
    assert mask.forced == ()


class NowAndThen(Executor):
    """Does what it is given when it is told to."""

    def __init__(self) -> None:
        self.given: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.given.append((future, lambda: fn(*args, **kwargs)))
        return future

    def run(self) -> None:
        future, call = self.given.pop()
        future.set_result(call())


def test_the_next_mask_is_begun_when_the_token_before_is_known(grammars: Grammars) -> None:
    beside = NowAndThen()
    never = np.zeros(TOKENIZER_SIZE, np.bool_)
    mask = GrammarMask(grammars.compiled(ONE, "").deep_copy(), never, beside, "")
    assert len(beside.given) == 1
    beside.run()
    mask.advance(token("t"))
    assert len(beside.given) == 1, "nobody has asked for it yet"
    beside.run()
    assert token("t") not in allowed(mask)
    assert token("h") in allowed(mask)


def test_each_is_compiled_once_for_each_tenant(grammars: Grammars, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = list[str]()

    def counting(given: Grammar, special: Mapping[str, int]) -> str:
        compiled.append(given.text)
        return source_of(given, special)

    monkeypatch.setattr(grammars_module, "source_of", counting)
    mine = Grammar("regex", "once", given_as="guided_regex")
    for tenant in ("a", "a", "b"):
        grammars.mask(mine, tenant)
    grammars.mask(Grammar("regex", "once", given_as="structured_outputs.regex"), "a")
    assert compiled == ["once", "once"]


def test_those_used_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammars_module, "_REMEMBERED", 2)
    fresh = Grammars(tiny_tokenizer(), TOKENIZER_SIZE, ENDS)
    first = fresh.compiled(ONE, "")
    fresh.compiled(Grammar("regex", "b"), "")
    assert fresh.compiled(ONE, "") is first
    fresh.compiled(Grammar("regex", "c"), "")
    assert fresh.compiled(ONE, "") is first
    fresh.compiled(Grammar("regex", "d"), "")
    fresh.compiled(Grammar("regex", "e"), "")
    assert fresh.compiled(ONE, "") is not first


@pytest.mark.parametrize(
    ("form", "place", "why"),
    [
        ({"not": {}}, "", "'not' is not supported"),
        ({"properties": {"a": {"items": {"uniqueItems": True}}}}, ".properties.a.items", "'uniqueItems'"),
        ({"properties": {"a b": {"if": {}}}}, ".properties['a b']", "'if'"),
        ({"anyOf": [{}, {"nullable": True}]}, ".anyOf[1]", "'nullable'"),
        ({"$defs": {"x": {"contains": {}}}}, ".$defs.x", "'contains'"),
        ({"x-guidance": {"lenient": True}}, "", "'x-guidance'"),
        ({"additionalProperies": False}, "", "'additionalProperies'"),
        ({"properties": {"a": {"items": {"pattern": "(?=a)"}}}}, ".properties.a.items", "look-around"),
        ({"properties": {"a": {"type": "integr"}, "b": {}}}, ".properties.a", "Invalid type: integr"),
        (
            {"properties": {"a": {"type": "integer", "minimum": 3, "maximum": 2}}, "required": ["a"], "type": "object"},
            ".properties.a",
            "Unsatisfiable",
        ),
        ({"items": {"$ref": "#/$defs/none"}, "$defs": {"some": {}}}, ".items", "does not exist"),
        ({"items": {"allOf": [{"format": "colour", "type": "string"}]}}, ".items.allOf[0]", "Unknown format: colour"),
        ({"oneOf": [{"type": "string"}, {"maxLength": 3}]}, "", "oneOf"),
        ({"$ref": "http://example.org/schema"}, "", "not present"),
        ({"enum": []}, "", "Unsatisfiable"),
        ({"type": "string", "description": "x" * 2**17}, "", "longer than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_schema_that_is_none_is_refused_with_the_place(grammars: Grammars, form: Any, place: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        grammars.compiled(schema(form), "")
    assert (refusal.value.param, refusal.value.code) == (f"text.format.schema{place}", "invalid_json_schema")
    assert why in str(refusal.value)


def test_what_only_says_something_to_people_is_taken(grammars: Grammars) -> None:
    notes = {"title": "T", "description": "D", "default": 1, "examples": [1], "$comment": "c", "x-order": ["not"]}
    grammars.compiled(schema({"type": "object", "properties": {"not": {"type": "integer", **notes}}, **notes}), "")


@pytest.mark.parametrize(
    "grammar",
    [Grammar("regex", "(a", given_as="g"), Grammar("grammar", "root ::= (", given_as="g")],
    ids=lambda g: g.kind,
)
def test_so_is_a_grammar(grammars: Grammars, grammar: Grammar) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        grammars.compiled(grammar, "")
    assert (refusal.value.param, refusal.value.code) == ("g", "invalid_grammar")


def test_one_that_grows_beyond_all_bounds_ends_its_own_reply_alone(grammars: Grammars) -> None:
    """As a fault of the request, for there is nothing wrong with the model."""
    mask = grammars.mask(ONE, "")
    mask.advance(IM_START)  # no grammar allows it: the library is in its state of errors from here on
    with pytest.raises(NothingAllowed) as failure:
        mask.mask(torch.zeros(TOKENIZER_SIZE))
    assert (failure.value.status, failure.value.param) == (400, "guided_regex")


THINK: Final = Thought("<think>", "</think>")
MARKED: Final = Thought("<|im_start|>", "<|im_end|>", tokens=frozenset({"<|im_start|>", "<|im_end|>"}))


def spell(mask: GrammarMask, text: str) -> bool:
    """Whether it allows this, one token after the other."""
    for token_id in tiny_tokenizer().encode(text, add_special_tokens=False).ids:
        if token_id not in allowed(mask):
            return False
        mask.advance(token_id)
    return True


@pytest.mark.parametrize("form", [schema({"const": 1}), Grammar("regex", "1"), Grammar("choice", '["1"]')])
def test_a_form_stands_behind_a_thought(grammars: Grammars, form: Grammar) -> None:
    thinks, opened = replace(form, thought=THINK), replace(form, thought=replace(THINK, is_open=True))
    for thought in ("<think>say \n 1 or < 2</think>1", "<think>\nhm\n</think>\n\n1", "<think></think>1", "1"):
        mask = grammars.mask(thinks, "")
        assert spell(mask, thought)
        assert mask.leaves(IM_END)
    for thought, is_right in (("hm</think>1", True), ("hm</think>2", False), ("1</think>1", True)):
        assert spell(grammars.mask(opened, ""), thought) is is_right
    assert not spell(grammars.mask(thinks, ""), "hm</think>1")
    still = grammars.mask(opened, "")
    assert spell(still, "1")
    assert not still.leaves(IM_END), "the thought is not over"


def test_its_marks_may_be_special_tokens() -> None:
    ends = frozenset({END_OF_TEXT})
    grammars = Grammars(tiny_tokenizer(), TOKENIZER_SIZE, ends)
    for thought, text in ((MARKED, "<|im_start|>hm 1 <|im_end|>\n1"), (replace(MARKED, is_open=True), "1<|im_end|>1")):
        mask = grammars.mask(Grammar("regex", "1", thought=thought), "")
        assert spell(mask, text)
        assert mask.leaves(END_OF_TEXT)
    assert not spell(grammars.mask(Grammar("regex", "1", thought=MARKED), ""), "<|im_start|>hm<|im_start|>")
