"""Which token a marked place is, with templates that trim, strip and date."""

from functools import partial

import pytest
from tests.support.templates import TEMPLATES
from tests.support.tokenizer import chat_tokenizer

from warmturn_server.chat import Item, ItemId, Mark, Text, TextTokenizer
from warmturn_server.chat.caching.breakpoints import Breakpoint, find_breakpoints
from warmturn_server.chat.model import as_messages

FIRST, SECOND = "Zwölf Boxkämpfer jagen Viktor", "quer über den großen Deich."
TRIMS = TEMPLATES["chatml"].replace("message['content']", "message['content'].strip()")


def placed(template: str, *items: Item, instructions: str | None = None, most: int = 4) -> list[tuple[str, int | None]]:
    """For each mark the text of the tokens before it, and its lifetime."""
    tokenizer = TextTokenizer(chat_tokenizer(TEMPLATES[template]))
    render = partial(tokenizer.render, tools=(), prompt_end="new_reply", options={})
    text = render(as_messages(instructions, items)).text
    encoded = tokenizer.encode(text)
    found = find_breakpoints(text, encoded.ends, instructions, items, render, most)
    return [(text[: encoded.ends[(place.num_tokens or 0) - 1]], place.ttl_seconds) for place in found]


def user(*parts: Text) -> Item:
    return Item(ItemId("msg_1"), "user", parts)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("instructions", [None, "Be brief."])
def test_it_ends_with_the_part(template: str, instructions: str | None) -> None:
    items = user(Text("Hello.")), user(Text(FIRST, Mark(60)), Text(SECOND, Mark()))
    (first, first_ttl), (second, second_ttl) = placed(template, *items, instructions=instructions)
    assert (first_ttl, second_ttl) == (60, None)
    assert first.endswith(FIRST) and second.endswith(f"{FIRST}\n{SECOND}")


def test_only_the_latest_count() -> None:
    items = [user(Text(f"number {number}", Mark(number))) for number in range(6)]
    assert [ttl for _, ttl in placed("chatml", *items, most=3)] == [3, 4, 5]


def found(template: str, *parts: Text) -> tuple[str, list[int], tuple[Breakpoint, ...]]:
    """Of one message: the prompt, where its tokens end, and its marked places."""
    tokenizer, items = TextTokenizer(chat_tokenizer(template)), [user(*parts)]
    render = partial(tokenizer.render, tools=(), prompt_end="new_reply", options={})
    text = render(as_messages(None, items)).text
    ends = tokenizer.encode(text).ends
    return text, list(ends), find_breakpoints(text, ends, None, items, render, 4)


def test_a_mark_in_what_the_template_trims_is_at_the_edge_of_the_rest() -> None:
    text, ends, (first, second) = found(TRIMS, Text(f"  {FIRST}  ", Mark()), Text("   ", Mark()))
    assert f"  {FIRST}" not in text, "nothing is trimmed"
    assert first == second and first.num_tokens is not None
    assert text[: ends[first.num_tokens - 1]].endswith(FIRST)


def test_a_template_that_looks_into_what_is_said_shows_no_place() -> None:
    looks = "{% for m in messages %}{{ m['content'] | upper | reverse }}{% endfor %}"
    assert found(looks, Text(FIRST, Mark(7)))[2] == (Breakpoint(None, 7),)
