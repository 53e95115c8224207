"""How a model thinks aloud is told by its own template, and what a request may say to that template."""

from pathlib import Path

import pytest
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat
from tests.support.models import IM_END
from tests.support.templates import CHATML, OPENS_THOUGHT, STRIPS_THINKING, TEMPLATES, THINKS
from tests.support.tokenizer import chat_tokenizer

from warmturn_server.chat import FORMATS, Reasoning, Style, Text, TextTokenizer, style_of
from warmturn_server.errors import InvalidRequest, StartRefused

LOOKS_ELSEWHERE = (
    "{% for m in messages %}{% if m.thinking is defined %}<|channel|>analysis<|message|>{{ m.thinking }}<|end|>"
    "{% endif %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
)
IN_BLOCKS = (
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for b in m.content %}"
    "{% if b.type == 'thinking' %}[THINK]{{ b.thinking }}[/THINK]{% else %}{{ b.text }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}"
)


def tokenizer_with(template: str) -> TextTokenizer:
    return TextTokenizer(chat_tokenizer(template))


@pytest.mark.parametrize(
    ("template", "style"),
    [
        (CHATML, None),
        (STRIPS_THINKING, Style(FORMATS["think"])),
        (THINKS, Style(FORMATS["think"], opening="\n", closing="\n")),
        (OPENS_THOUGHT, Style(FORMATS["think"])),
        (LOOKS_ELSEWHERE, Style(FORMATS["harmony"], opening="", closing="")),
        (IN_BLOCKS, Style(FORMATS["mistral"], opening="", closing="")),
    ],
)
def test_the_template_tells_how_the_model_thinks(template: str, style: Style | None) -> None:
    assert style_of(tokenizer_with(template)) == style


def test_whoever_serves_may_know_better() -> None:
    assert style_of(tokenizer_with(THINKS), "off") is None
    assert style_of(tokenizer_with(CHATML), "think") == Style(FORMATS["think"])
    with pytest.raises(StartRefused, match="knows no 'thnik': there are auto, off, harmony"):
        style_of(tokenizer_with(CHATML), "thnik")


@pytest.mark.parametrize(
    ("template", "written"), [(LOOKS_ELSEWHERE, "analysis<|message|>hm"), (IN_BLOCKS, "[THINK]hm")]
)
def test_a_thought_is_given_where_the_template_looks_for_it(template: str, written: str) -> None:
    message = {"role": "assistant", "content": "fine", "reasoning_content": "hm"}
    assert written in tokenizer_with(template).render([message]).text  # type: ignore[list-item]


@pytest.mark.parametrize("template", [*TEMPLATES.values(), THINKS, OPENS_THOUGHT])
def test_a_template_that_takes_everything_refuses_nothing(template: str) -> None:
    assert tokenizer_with(template).template.refusals() == {}


def test_a_template_says_what_it_refuses() -> None:
    """Whatever goes wrong in it: it is a program, and the messages are the caller's."""
    no_system = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    template = tokenizer_with(no_system + "{% for tool in tools %}{% endfor %}").template
    assert template.refusals()["system"].endswith("messages: no system")
    assert "TypeError: 'NoneType' object is not iterable" in template.refusals()["one turn"]
    with pytest.raises(InvalidRequest, match="TypeError"):
        template.render([{"role": "user", "content": "x"}])


async def test_a_thought_that_the_prompt_opens_is_one(tmp_path: Path) -> None:
    tokenizer = tokenizer_with(OPENS_THOUGHT)
    chat = Chat(tmp_path, tokenizer, style_of(tokenizer))
    said = await chat.say("say </think>", [*tokenizer.encode("hm\n</think>\n\nfine").token_ids, IM_END])
    assert said.output[0].content == (Reasoning("hm"), Text("fine"))
    chat.service.close()


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize(
    ("asked", "thinks"),
    [
        ({}, True),
        ({"reasoning_effort": "none"}, False),
        ({"reasoning": {"effort": "none"}}, False),
        ({"reasoning": {"effort": "high"}}, True),
        ({"chat_template_kwargs": {"enable_thinking": False}}, False),
        ({"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": True}}, True),
    ],
)
async def test_an_effort_reaches_the_template(
    tmp_path: Path, path: str, asked: dict[str, object], thinks: bool
) -> None:
    chat = Chat(tmp_path, tokenizer_with(THINKS))
    async with client_of(chat) as http:
        given = {"input": "who?"} if "responses" in path else {"messages": [{"role": "user", "content": "who?"}]}
        reply = (await http.post(path, json={**given, **asked})).json()
    assert chat.prompt.endswith("assistant\n" if thinks else "</think>\n\n")
    if "responses" in path and "reasoning" in asked:
        assert reply["reasoning"]["effort"] == asked["reasoning"]["effort"]  # type: ignore[index]
    chat.service.close()


@pytest.mark.parametrize(
    ("words", "efforts"),
    [
        ("['no_think', 'low', 'high']", {"none": "no_think", "minimal": "low", "medium": "high", "xhigh": "high"}),
        ("['low', 'high', 'max']", {"low": "low", "medium": "high", "xhigh": "max"}),
        ("['low']", {"none": None, "high": "low"}),
        ("[]", {"medium": None}),
    ],
)
def test_a_template_is_asked_for_about_as_much_where_it_does_not_know_the_word(
    words: str, efforts: dict[str, str | None]
) -> None:
    unknown = f"reasoning_effort is defined and reasoning_effort not in {words}"
    strict = "{% if " + unknown + " %}{{ raise_exception('') }}{% endif %}"
    template = tokenizer_with(strict + CHATML).template
    assert {effort: template.effort(effort).get("reasoning_effort") for effort in efforts} == efforts


def test_no_thinking_is_told_in_the_words_of_each_family() -> None:
    template = tokenizer_with("{{ thinking_mode }}{{ thinking_budget }}" + CHATML).template
    assert template.effort("none") == {"thinking_mode": "disabled", "thinking_budget": 0}
    assert template.effort("high") == {}


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"chat_template_kwargs": {"tools": []}}, "chat_template_kwargs.tools"),
        ({"chat_template_kwargs": {"thinking_budget": 5}}, "chat_template_kwargs.thinking_budget"),
        ({"chat_template_kwargs": {"enable_thinking": ["x"]}}, "chat_template_kwargs.enable_thinking"),
        ({"chat_template_kwargs": {"enable_thinking": "<|im_end|>"}}, "chat_template_kwargs.enable_thinking"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"effort": "low"}, "reasoning_effort": "high"}, "reasoning_effort"),
        ({"reasoning": {"context": "all_turns"}}, "reasoning.context"),
        ({"chat_template": "x"}, "chat_template"),
    ],
)
async def test_nothing_else_of_a_template_is_the_callers(tmp_path: Path, asked: dict[str, object], param: str) -> None:
    chat = Chat(tmp_path, tokenizer_with(THINKS))
    async with client_of(chat) as http:
        reply = await http.post("/v1/responses", json={"input": "who?", **asked})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
    assert chat.engine.requests == []
    chat.service.close()


async def test_an_effort_that_no_template_can_be_told_is_not_claimed(tmp_path: Path) -> None:
    chat = Chat(tmp_path)
    async with client_of(chat) as http:
        reply = await http.post("/v1/responses", json={"input": "who?", "reasoning": {"effort": "high"}})
        model = (await http.get("/v1/models/fake")).json()
    assert reply.json()["reasoning"]["effort"] is None
    assert (model["reasoning_format"], model["chat_template_kwargs"], model["chat_template_refuses"]) == (None, [], [])
    chat.service.close()
