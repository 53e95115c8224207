"""What the model may call reaches the template, and only where there is something to call."""

from pathlib import Path

import pytest
from tests.server.chat.driver import Chat, user
from tests.support.templates import CHATML, TEMPLATES
from tests.support.tokenizer import chat_tokenizer

from warmturn_server.chat import CALL_FORMATS, Calling, TextTokenizer, Tool
from warmturn_server.chat.model import ChatMessage
from warmturn_server.errors import InvalidRequest

LISTS_TOOLS = "{% for tool in tools or [] %}<tool>{{ tool | tojson }}</tool>{% endfor %}" + CHATML
NAMES_WHAT_IS_GIVEN = "{{ 'given' if tools is defined and tools is not none else 'nothing' }}: " + CHATML
MESSAGES = [ChatMessage(role="user", content="who?")]
SAID = "<|im_start|>user\nwho?<|im_end|>\n<|im_start|>assistant\n"


def tool(name: str) -> Tool:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


def rendering(template: str) -> TextTokenizer:
    return TextTokenizer(chat_tokenizer(template))


def test_they_are_printed_in_the_order_in_which_they_are_given() -> None:
    text = rendering(LISTS_TOOLS).render(MESSAGES, [tool("weather"), tool("mail")]).text
    printed = [text.index(f'"name": "{name}"') for name in ("weather", "mail")]
    assert printed == sorted(printed)
    assert text.endswith(SAID)
    assert text == rendering(LISTS_TOOLS).render(MESSAGES, (tool("weather"), tool("mail"))).text


def test_none_are_mentioned_where_there_are_none() -> None:
    assert rendering(LISTS_TOOLS).render(MESSAGES).text == SAID
    assert rendering(NAMES_WHAT_IS_GIVEN).render(MESSAGES).text == f"nothing: {SAID}"
    assert rendering(NAMES_WHAT_IS_GIVEN).render(MESSAGES, [tool("mail")]).text == f"given: {SAID}"


@pytest.mark.parametrize("name", sorted(set(TEMPLATES) - {"clocked"}))
def test_templates_that_know_none_say_the_same_with_and_without(name: str) -> None:
    tokenizer = rendering(TEMPLATES[name])
    assert tokenizer.render(MESSAGES, [tool("mail")]).text == tokenizer.render(MESSAGES).text


def test_a_template_that_refuses_them_says_so() -> None:
    refusing = rendering("{% if tools %}{{ raise_exception('no tools here') }}{% endif %}" + CHATML)
    assert refusing.render(MESSAGES).text == SAID
    with pytest.raises(InvalidRequest, match="no tools here") as refused:
        refusing.render(MESSAGES, [tool("mail")])
    assert (refused.value.code, refused.value.param) == ("chat_template", "input")


async def test_those_of_a_turn_are_in_its_prompt(tmp_path: Path) -> None:
    chat = Chat(tmp_path, rendering(LISTS_TOOLS), calling=Calling(CALL_FORMATS["hermes"]))
    await chat.ask((user("who?"),), None, tools=(tool("weather"),))
    assert chat.prompt.startswith('<tool>{"type": "function", "function": {"name": "weather"')
    await chat.ask((user("who?"),), None)
    assert chat.prompt == SAID
    chat.service.close()
