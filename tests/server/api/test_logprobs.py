"""Storage-probabilities name the tokens of the text, byte for byte."""

from collections.abc import Callable

import pytest
from tests.server.chat.transcript.tokenizers_of_other_kinds import puts_a_space_first
from tests.support.templates import CHATML
from tests.support.tokenizer import chat_tokenizer
from transformers import PreTrainedTokenizerFast

from warmturn_server.api.reply import logprob_objects
from warmturn_server.chat import TextTokenizer
from warmturn_server.engine_api import TokenLogprobs


@pytest.mark.parametrize("kind", [lambda: chat_tokenizer(CHATML), puts_a_space_first])
def test_tokens_and_bytes_are_those_of_the_text(kind: Callable[[], PreTrainedTokenizerFast]) -> None:
    tokenizer = TextTokenizer(kind())
    text = "Bot: the cats are 😀日"
    token_ids = tokenizer.encode(text).token_ids
    shown = logprob_objects(tokenizer, [TokenLogprobs(token_id, -1.0, ((token_id, -1.0),)) for token_id in token_ids])
    assert b"".join(bytes(entry["bytes"]) for entry in shown).decode().lstrip() == text
    assert [entry["token"] for entry in shown] == [bytes(entry["bytes"]).decode(errors="replace") for entry in shown]
    assert [entry["top_logprobs"][0]["bytes"] for entry in shown] == [entry["bytes"] for entry in shown]
