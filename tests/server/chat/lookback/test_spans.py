"""Which characters and which tokens of a prompt belong to which message, whatever the template does to them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.chat.transcript.tokenizers_of_other_kinds import composes, lowercases, puts_a_space_first
from tests.support.templates import TEMPLATES
from tests.support.tokenizer import chat_tokenizer

from warmturn_server.chat import TextTokenizer
from warmturn_server.chat.lookback.spans import Passage, find_passages, owners
from warmturn_server.chat.model import ChatMessage

OTHERS = {
    "trims": "{% for m in messages %}{{ '[' + m['role'] + '] ' + m['content'] | trim + '\n' }}{% endfor %}>",
    "system_last": (
        "{% for m in messages if m['role'] != 'system' %}"
        "{% if loop.last %}{% for s in messages if s['role'] == 'system' %}{{ s['content'] + '\n\n' }}{% endfor %}"
        "{% endif %}{{ '[INST] ' + m['content'] + '[/INST]' }}{% endfor %}"
    ),
    "drops_old": "{% for m in messages[-2:] %}{{ '<|im_start|>' + m['content'] + '<|im_end|>' }}{% endfor %}",
    "shouts": "{% for m in messages %}{{ '<|im_start|>' + m['content'] | upper + '<|im_end|>' }}{% endfor %}",
    "repeats": ("{{ messages[0]['content'] + '\n' }}{% for m in messages %}{{ m['content'] + '\n---\n' }}{% endfor %}"),
}
TOKENIZERS = {
    **{name: TextTokenizer(chat_tokenizer(template)) for name, template in {**TEMPLATES, **OTHERS}.items()},
    "composes": TextTokenizer(composes()),
    "puts_a_space_first": TextTokenizer(puts_a_space_first()),
    "lowercases": TextTokenizer(lowercases()),
}


def conversation(*said: tuple[str, str]) -> list[ChatMessage]:
    return [{"role": role, "content": content} for role, content in said]


def passages_of(name: str, messages: list[ChatMessage]) -> list[tuple[int, str]]:
    text, passages = rendered(name, messages)
    return [(passage.message, text[passage.start : passage.stop]) for passage in passages]


def rendered(name: str, messages: list[ChatMessage]) -> tuple[str, list[Passage]]:
    text = TOKENIZERS[name].render(messages).text
    return text, find_passages(text, messages, TOKENIZERS[name].render)


def tokens_of(name: str, messages: list[ChatMessage]) -> list[str]:
    """The text of each message's tokens, and last that of nobody's."""
    text, passages = rendered(name, messages)
    encoded = TOKENIZERS[name].encode(text)
    texts = [""] * (len(messages) + 1)
    start = 0
    for end, owner in zip(encoded.ends, owners(text, encoded.ends, passages), strict=True):
        texts[-1 if owner is None else owner] += text[start:end]
        start = end
    return texts


TALK = conversation(
    ("system", "Be brief."),
    ("user", "My cat is called Mio, who knows?"),
    ("assistant", "Your cat is Mio."),
    ("user", "Grüße aus 東京 😀!"),
    ("assistant", "👩‍👩‍👧 déjà vu"),
    ("user", "What is my cat called?"),
)


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_message_is_found_whole_and_nothing_else(name: str) -> None:
    expected = list(enumerate(message["content"] for message in TALK))
    assert passages_of(name, TALK) == expected


@pytest.mark.parametrize("name", [*TEMPLATES, "composes"])
def test_every_token_belongs_to_its_message(name: str) -> None:
    *texts, rest = tokens_of(name, TALK)
    assert texts == [message["content"] for message in TALK]
    assert "Mio" not in rest and rest.count("<|im_start|>user\n") == 3


def test_a_token_with_a_space_of_the_template_belongs_to_the_word() -> None:
    name = "trims"
    assert tokens_of(name, conversation(("user", "the cat "), ("assistant", " theme")))[:2] == [" the cat", " theme"]


def test_words_of_the_template_are_not_mistaken_for_a_message_that_says_the_same() -> None:
    messages = conversation(("user", "user"), ("assistant", "assistant"), ("user", "<|im_start|>"), ("user", "system"))
    assert passages_of("chatml", messages) == list(enumerate(message["content"] for message in messages))
    text, passages = rendered("chatml", messages)
    heads = ["<|im_start|>" + message["role"] + "\n" for message in messages]
    assert all(text.endswith(head, 0, passage.start) for head, passage in zip(heads, passages, strict=True))


def test_messages_that_are_alike_are_told_apart() -> None:
    messages = conversation(*[("user", "again"), ("assistant", "again")] * 3)
    text, passages = rendered("chatml", messages)
    assert [passage.message for passage in passages] == list(range(6))
    assert len({passage.start for passage in passages}) == 6
    assert all(text[passage.start : passage.stop] == "again" for passage in passages)


def test_dropped_thinking_leaves_the_rest_of_the_message() -> None:
    thought = "<think>here or there</think>\n\nthere"
    messages = conversation(("user", "where?"), ("assistant", thought), ("user", "who?"))
    assert passages_of("strips_thinking", messages) == [(0, "where?"), (1, "there"), (2, "who?")]


def test_what_a_template_trims_leaves_out_moves_or_repeats_is_found_where_it_stands() -> None:
    messages = conversation(("system", " Be good. "), ("user", "  who? "), ("assistant", "me\n"), ("user", "where?"))
    assert passages_of("trims", messages) == [(0, "Be good."), (1, "who?"), (2, "me"), (3, "where?")]
    assert passages_of("drops_old", messages) == [(2, "me\n"), (3, "where?")]
    moved = [(1, "  who? "), (2, "me\n"), (0, " Be good. "), (3, "where?")]
    assert passages_of("system_last", messages) == moved
    assert [message for message, _ in passages_of("repeats", messages)] == [0, 0, 1, 2, 3]


def test_a_message_that_the_template_changes_ends_what_is_certain() -> None:
    messages = conversation(("user", "123"), ("assistant", "Who?"), ("user", "456"))
    assert passages_of("shouts", messages) == [(0, "123")]
    *texts, rest = tokens_of("shouts", messages)
    assert texts == ["123", "", ""] and "WHO?" in rest and "456" in rest


def test_an_empty_message_has_no_tokens() -> None:
    messages = conversation(("user", "who?"), ("assistant", ""), ("user", " \n"), ("user", "how?"))
    assert [message for message, _ in passages_of("chatml", messages)] == [0, 3]


def test_where_it_cannot_be_told_nothing_is_claimed() -> None:
    """The end of the first message looks like the template's own; trimmed, it is not known where it ends."""
    messages = conversation(("user", "a\n[user] b\n[user] c "), ("user", "d"))
    assert passages_of("trims", messages) == []


def test_a_text_that_another_template_made_is_nobodys() -> None:
    text = TOKENIZERS["trims"].render(TALK).text
    assert find_passages(text, TALK, TOKENIZERS["chatml"].render) == []


def test_a_time_that_went_on_is_no_doubt_but_other_words_are() -> None:
    text = TOKENIZERS["dated"].render(TALK).text
    day = text[text.index("is ") + 3 : text.index(".")]
    for then, known in ((day.replace(day[:2], "42"), len(TALK)), ("42 Marchember 2026", 0)):
        assert len(find_passages(text.replace(day, then), TALK, TOKENIZERS["dated"].render)) == known


@pytest.mark.parametrize("name", ["chatml", "strips_thinking", "composes", "puts_a_space_first", "lowercases"])
@given(
    said=st.lists(
        st.tuples(st.sampled_from(["user", "assistant"]), st.text(alphabet="abt he日é😀\n<>|", max_size=25)), max_size=6
    )
)
def test_whatever_is_said_each_token_is_of_its_own_message(name: str, said: list[tuple[str, str]]) -> None:
    messages = conversation(*said, ("user", "and?"))
    text, passages = rendered(name, messages)
    encoded = TOKENIZERS[name].encode(text)
    assert all(text[passage.start : passage.stop] == messages[passage.message]["content"] for passage in passages)
    assert {p.message for p in passages} == {i for i, message in enumerate(messages) if message["content"].strip()}
    for start, end, owner in zip((0, *encoded.ends), encoded.ends, owners(text, encoded.ends, passages), strict=False):
        if owner is not None:
            assert text[start:end].strip() in messages[owner]["content"]
