"""What can never fit is refused before it is tokenised: that takes seconds, and memory that is not given back."""

import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.server.chat.driver import Chat
from tests.server.chat.transcript.tokenizers_of_other_kinds import lowercases
from tests.support.templates import CHATML
from tests.support.tokenizer import chat_tokenizer
from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from warmturn_server.chat import TextTokenizer
from warmturn_server.errors import ContextLengthExceeded

MEBIBYTE = 2**20
PROSE = "My name is Anna and my cat is called Mio. "


class Counting(TextTokenizer):
    """Notes how long the texts are that the library is given."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.lengths: list[int] = []
        super().__init__(tokenizer)
        self.lengths.clear()

    def _encoding(self, text: str) -> Encoding:
        self.lengths.append(len(text))
        return super()._encoding(text)


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[tuple[Chat, Counting]]:
    tokenizer = Counting(chat_tokenizer(CHATML))
    chat = Chat(tmp_path, tokenizer)
    yield chat, tokenizer
    chat.service.close()


@pytest.mark.parametrize("text", ["x" * MEBIBYTE, PROSE * (MEBIBYTE // len(PROSE)), "日" * (MEBIBYTE // 3)])
async def test_a_mebibyte_is_refused_by_its_length(counted: tuple[Chat, Counting], text: str) -> None:
    chat, tokenizer = counted
    for _ in range(8):
        with pytest.raises(ContextLengthExceeded, match="characters"):
            await chat.say(text)
    assert tokenizer.lengths == []
    assert chat.engine.requests == []


async def test_so_is_a_conversation_that_grew_to_it(counted: tuple[Chat, Counting]) -> None:
    chat, tokenizer = counted
    conversation = await chat.new()
    await chat.say("who?", conversation_id=conversation.id)
    tokenizer.lengths.clear()
    with pytest.raises(ContextLengthExceeded):
        await chat.say("x" * MEBIBYTE, conversation_id=conversation.id)
    assert tokenizer.lengths == []
    await chat.say("where?", conversation_id=conversation.id)


async def test_where_length_does_not_tell_a_beginning_does(counted: tuple[Chat, Counting]) -> None:
    """Some vocabularies have a token of a hundred spaces."""
    chat, tokenizer = counted
    chat.engine.context_length, tokenizer._longest = 64, 1000
    chat.service = type(chat.service)(chat.store, chat.engine, chat.service._transcriber)
    with pytest.raises(ContextLengthExceeded):
        await chat.say("x1 " * 10_000)
    assert 0 < sum(tokenizer.lengths) < 64 * 10


@pytest.mark.parametrize("max_tokens", [1, 7, 64, 700])
def test_what_fits_is_never_refused(max_tokens: int) -> None:
    for made in (chat_tokenizer(CHATML), lowercases()):
        tokenizer = TextTokenizer(made)
        for text in (PROSE * 100, "<|im_start|>" * 700, "Unbelievably " * 200, " " * 3000, "x" * 3000, "日本語" * 500):
            is_more = len(tokenizer.encode(text).token_ids) > max_tokens
            assert is_more or not tokenizer.exceeds(text, max_tokens)


def test_a_long_text_is_tokenised_as_a_short_one_is_and_lets_others_run() -> None:
    tokenizer = TextTokenizer(chat_tokenizer(CHATML))
    piece = PROSE + "naïve 日本 "
    short, long = tokenizer.encode(piece), tokenizer.encode(piece * 600)
    assert long.token_ids == short.token_ids * 600
    over = threading.Event()

    def tokenise() -> None:
        tokenizer._encoding(PROSE * 20_000)
        over.set()

    thread = threading.Thread(target=tokenise)
    thread.start()
    turns = 0
    while not over.is_set():
        time.sleep(0.0005)
        turns += not over.is_set()
    thread.join()
    assert turns > 10, "nobody else had a turn while it tokenised"
