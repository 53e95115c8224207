"""Text comes out as early as it is certain: never half a character, nothing of a stop string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tokenizer import TOKENIZER_SIZE, tiny_tokenizer

from warmturn_server.engine.detokenizer import Detokenizer
from warmturn_server.engine.sequence import Sequence, Vocabulary
from warmturn_server.engine_api import GenerationRequest, SamplingParams

TOKENIZER = tiny_tokenizer()
IDS = st.lists(st.integers(0, TOKENIZER_SIZE - 1), max_size=40)
READABLE = st.text(alphabet="the cat sat on 日本é😀👩‍👧\n", max_size=60)


def stream(token_ids: list[int], stop: tuple[str, ...] = ()) -> list[str]:
    """The pieces of text, the last one being what the end lets go."""
    detokenizer = Detokenizer(TOKENIZER, stop)
    pieces = [detokenizer.add(token_id) for token_id in token_ids]
    return [*pieces, detokenizer.finish()]


def byte_ids(text: str) -> list[int]:
    """One token for each byte: what a model may well choose, though no tokenizer would."""
    alphabet = {token: token_id for token, token_id in TOKENIZER.get_vocab().items() if len(token) == 1}
    encoded = TOKENIZER.pre_tokenizer.pre_tokenize_str(text) if TOKENIZER.pre_tokenizer else []
    return [alphabet[character] for piece, _ in encoded for character in piece]


def id_of(token: str) -> int:
    token_id = TOKENIZER.token_to_id(token)
    assert token_id is not None, f"the tokenizer built here has no {token!r}"
    return token_id


def whole(token_ids: list[int]) -> str:
    return TOKENIZER.decode(token_ids, skip_special_tokens=True)


@given(IDS)
def test_the_pieces_add_up_to_the_whole_text(token_ids: list[int]) -> None:
    """But for an unfinished character at its end."""
    assert "".join(stream(token_ids)) == whole(token_ids).rstrip("�")


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (("jÃ",), "j"),
        (("ĠæĹ¥æ",), " 日"),
        (("ĠæĹ¥æ", "ľ"), " 日"),
        (("ĠæĹ¥æ", "ľ", "¬"), " 日本"),
        (("ðŁĳ©â", "ðŁĳ©â"), "👩�👩"),
        (("jÃ", "<|im_end|>"), "j"),
    ],
)
def test_whole_characters_beside_an_unfinished_one_are_not_lost(tokens: tuple[str, ...], expected: str) -> None:
    """One token may hold the end of one character and the beginning of the next."""
    assert "".join(stream([id_of(token) for token in tokens])) == expected


@pytest.mark.parametrize(("stop", "expected"), [("日", (" ", "stop")), ("日本", (" 日", "length"))])
def test_a_reply_cut_at_its_limit_within_a_character(stop: str, expected: tuple[str, str]) -> None:
    request = GenerationRequest((1,), SamplingParams(stop=(stop,)))
    sequence = Sequence(request, 1, Vocabulary(TOKENIZER, frozenset()), lambda _: None)
    delta, reason = sequence.accept(id_of("ĠæĹ¥æ"), None, 0.0)
    assert (delta.text, reason) == expected


@given(READABLE)
def test_readable_text_comes_back_whole_from_single_bytes(text: str) -> None:
    assert "".join(stream(byte_ids(text))) == text


@given(READABLE)
def test_a_character_is_never_split(text: str) -> None:
    pieces = stream(byte_ids(text))
    assert "�" not in "".join(pieces)
    shown = ""
    for piece in pieces:
        shown += piece
        assert text.startswith(shown)


def test_text_is_not_held_back_longer_than_its_character() -> None:
    assert stream(byte_ids("a日b")) == ["a", "", "", "日", "b", ""]


def test_special_tokens_are_not_text() -> None:
    assert "".join(stream([*byte_ids("a"), 0, 1, 2, *byte_ids("b")])) == "ab"


def test_ids_that_no_token_has_are_not_text() -> None:
    """Models pad their vocabulary."""
    assert "".join(stream([*byte_ids("a"), TOKENIZER_SIZE + 3, *byte_ids("b")])) == "ab"


@given(READABLE, st.text(alphabet="the ca日é", min_size=1, max_size=4))
def test_nothing_of_a_stop_string_is_ever_shown(text: str, stop: str) -> None:
    pieces = stream(byte_ids(text), (stop,))
    assert "".join(pieces) == text.split(stop)[0]


@given(READABLE, st.text(alphabet="the ca日é", min_size=1, max_size=4))
def test_a_stop_string_stops_at_its_last_token(text: str, stop: str) -> None:
    detokenizer = Detokenizer(TOKENIZER, (stop,))
    read = 0
    for token_id in byte_ids(text):
        if detokenizer.stopped:
            break
        detokenizer.add(token_id)
        read += 1
    expected = text.split(stop)[0] + stop if stop in text else text
    assert read == len(expected.encode())


@given(READABLE)
def test_text_after_the_beginning_of_a_stop_string_is_shown_at_once_when_it_is_not_one(text: str) -> None:
    pieces = stream(byte_ids(text), ("Z", "thZ"))
    assert "".join(pieces) == text
    assert stream(byte_ids("thx"), ("thZ",)) == ["", "", "thx", ""]


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("one two three", ("two", "three"), "one "),
        ("one two three", ("three", "two"), "one "),
        ("aaab", ("aab",), "a"),
        ("ababac", ("abac",), "ab"),
        ("abc", ("abc",), ""),
        ("abc", ("",), "abc"),
        ("ab", ("abc",), "ab"),
        ("x日本語y", ("本語",), "x日"),
    ],
)
def test_stop_strings(text: str, stops: tuple[str, ...], expected: str) -> None:
    assert "".join(stream(byte_ids(text), stops)) == expected


def test_a_stop_string_inside_one_token() -> None:
    (token_id,) = TOKENIZER.encode("know").ids
    assert "".join(stream([token_id], ("no",))) == "k"


def test_nothing_follows_a_stop() -> None:
    detokenizer = Detokenizer(TOKENIZER, ("b",))
    assert [detokenizer.add(token_id) for token_id in byte_ids("abcd")] == ["a", "", "", ""]
    assert detokenizer.finish() == ""
