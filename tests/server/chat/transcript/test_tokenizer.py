"""Which characters each token stands for."""

from collections.abc import Callable
from unicodedata import normalize

import pytest
from tests.server.chat.transcript.tokenizers_of_other_kinds import (
    composes,
    lowercases,
    marks_spaces,
    puts_a_space_first,
)
from tests.support.models import IM_END
from tests.support.templates import CHATML
from tests.support.tokenizer import chat_tokenizer
from transformers import PreTrainedTokenizerFast

from warmturn_server.chat import TextTokenizer
from warmturn_server.engine_api import TokenStream
from warmturn_server.errors import InvalidRequest, ModelRefused

TEXTS = [
    "<|im_start|>user\nWell, the cats' catalogue<|im_end|>\n",
    "日本語 日本 and 👩‍👩‍👧 cafés, Straße",
    "a\n\n  b \t c ",
]


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    return TextTokenizer(chat_tokenizer(CHATML))


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_can_be_cut_at_every_end(tokenizer: TextTokenizer, text: str) -> None:
    encoded = tokenizer.encode(text)
    assert encoded.ends[-1] == len(text)
    for cut, end in enumerate(encoded.ends[:-1], 1):
        if end < encoded.ends[cut]:
            decoded = tokenizer._backend.decode(list(encoded.token_ids[:cut]), skip_special_tokens=False)
            assert decoded == text[:end]


def test_a_token_of_one_and_a_half_characters_has_no_end_of_its_own(tokenizer: TextTokenizer) -> None:
    encoded = tokenizer.encode("(日本)")
    pieces = [tokenizer.token_text(token_id) for token_id in encoded.token_ids]
    assert any("\ufffd" in piece for piece in pieces), "the tokenizer was to split a character"
    for piece, end in zip(pieces, encoded.ends, strict=True):
        assert not piece.endswith("\ufffd") or end > 1


def test_text_that_is_changed_before_it_is_tokenised_is_cut_at_plain_places_only() -> None:
    tokenizer = TextTokenizer(composes())
    text = "cafe\u0301 (日本語) cafe\u0301s, 12 cats"
    encoded = tokenizer.encode(text)
    cuts = [n for n in range(1, len(encoded.ends)) if encoded.ends[n - 1] < encoded.ends[n]]
    assert cuts
    for cut in cuts:
        decoded = tokenizer._backend.decode(list(encoded.token_ids[:cut]))
        assert decoded == normalize("NFC", text[: encoded.ends[cut - 1]])


def test_output_is_given_the_text_that_the_template_will_write(tokenizer: TextTokenizer) -> None:
    prompt = tokenizer.encode("<|im_start|>assistant\n").token_ids
    spelled = [token_id for letter in "my 😀 cat" for token_id in tokenizer.encode(letter).token_ids]
    text, ends = tokenizer.decode_onto(prompt, [*spelled, *tokenizer.encode("<|im_end|>").token_ids])
    assert text == "my 😀 cat<|im_end|>"
    smile = len(tokenizer.encode("😀").token_ids)
    assert ends == (1, 2, 3, *[4] * smile, 5, 6, 7, 8, 18)


@pytest.mark.parametrize(
    "kind", [lambda: chat_tokenizer(CHATML), composes, lowercases, puts_a_space_first, marks_spaces]
)
@pytest.mark.parametrize("text", ["my  cat is called 😀é日.", " the cats <0x41>"])
def test_the_bytes_of_the_tokens_make_up_the_text(kind: Callable[[], PreTrainedTokenizerFast], text: str) -> None:
    tokenizer = TextTokenizer(kind())
    token_ids = tokenizer.encode(text).token_ids
    stream = TokenStream(tokenizer._backend)
    said = "".join(map(stream.step, token_ids)) + stream.finish()
    joined = b"".join(map(tokenizer.token_bytes, token_ids)).decode()
    assert said.strip()
    assert joined in (said, f" {said}"), "such decoders drop the space at the very beginning"


def test_a_token_that_was_added_has_the_bytes_of_its_content(tokenizer: TextTokenizer) -> None:
    spaced = chat_tokenizer(CHATML)
    spaced.add_tokens(["<my tool>", "▁"])
    added = TextTokenizer(spaced)
    for token in ("<|im_end|>", "<think>", "<my tool>", "▁"):
        (token_id,) = added.encode(token).token_ids
        assert added.token_bytes(token_id) == token.encode()
    assert tokenizer.token_bytes(1_000_000) == b"", "models have more rows than their tokenizer has tokens"


def test_an_unfinished_character_stands_for_what_no_template_writes(tokenizer: TextTokenizer) -> None:
    cut = [*tokenizer.encode("a").token_ids, *tokenizer.encode("😀").token_ids[:2]]
    assert tokenizer.decode_onto((), cut) == ("a\ufffd", (1, 2, 2))
    assert tokenizer.decode_onto((), [*cut, IM_END, *tokenizer.encode(" b").token_ids])[0] == "a\ufffd<|im_end|> b"


def test_ids_without_a_token_stand_for_nothing(tokenizer: TextTokenizer) -> None:
    text, ends = tokenizer.decode_onto((), [*tokenizer.encode("a").token_ids, 1_000_000])
    assert (text, ends) == ("a", (1, 1))


def test_tokenizers_are_tried_before_their_ids_are_trusted() -> None:
    plain = TextTokenizer(chat_tokenizer(CHATML))
    assert (plain.exact, plain.splits_freely) == (True, True)
    spacing = TextTokenizer(puts_a_space_first())
    assert (spacing.exact, spacing.splits_freely) == (True, False)
    assert TextTokenizer(composes()).exact
    assert not TextTokenizer(lowercases()).exact


def test_two_tokenizers_have_two_vocabularies() -> None:
    assert TextTokenizer(composes()).vocabulary != TextTokenizer(lowercases()).vocabulary
    assert TextTokenizer(composes()).vocabulary == TextTokenizer(composes()).vocabulary


def test_a_model_without_chat_template_is_refused_with_what_to_do() -> None:
    with pytest.raises(ModelRefused, match=r"chat_template\.jinja"):
        TextTokenizer(chat_tokenizer(""))


def test_a_template_that_refuses_the_messages_says_why() -> None:
    template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(InvalidRequest, match="System role not supported") as refusal:
        TextTokenizer(chat_tokenizer(template)).render([{"role": "system", "content": "x"}])
    assert refusal.value.code == "chat_template"
