"""A rewritten history is shown from both sides, whatever the characters are."""

import pytest
from tests.server.chat.transcript.test_transcript import TOKENIZERS, Dialogue, spell
from tests.support.models import IM_END

from warmturn_server.chat.transcript.records import Record
from warmturn_server.chat.transcript.rewrite import EXCERPT_CHARS, find_rewrite
from warmturn_server.engine_api import Rewrite


def rewrite_of(dialogue: Dialogue, user: str) -> tuple[Rewrite | None, Record]:
    """What the next turn finds rewritten."""
    record, tokenizer = dialogue.record, dialogue.tokenizer
    transcript = dialogue.turn(user, [])
    written = tokenizer.render(dialogue.messages[:-1])
    return find_rewrite(record, written, transcript, tokenizer), record


@pytest.mark.parametrize("thought", ["hm", "naïve 日本", "😀😁"])
def test_thinking_that_the_template_drops(thought: str) -> None:
    tokenizer = TOKENIZERS["strips_thinking"]
    dialogue = Dialogue(tokenizer)
    first = dialogue.turn("where?", [*spell(f"<think>{thought}</think>there", 1, tokenizer), IM_END])
    rewrite, record = rewrite_of(dialogue, "who?")
    assert rewrite is not None
    assert (rewrite.at_token, rewrite.known_tokens) == (len(first.token_ids), len(record) - 1)
    assert rewrite.expected.token_id == record.token_ids[rewrite.at_token]
    assert rewrite.expected.after.startswith(f"<think>{thought}</think>there")
    assert rewrite.got.after.startswith("there<|im_end|>\n<|im_start|>user\nwho?")
    assert rewrite.expected.before == rewrite.got.before
    assert rewrite.got.before.endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize(("was", "now"), [("😀", "😁"), ("é", "è"), ("日", "本"), ("h", "t")])
def test_a_character_of_several_tokens_is_never_shown_in_pieces(was: str, now: str) -> None:
    dialogue = Dialogue(TOKENIZERS["chatml"])
    dialogue.turn("say " + was * 90 + " and", [*spell("yes", 2), IM_END])
    dialogue.messages[0]["content"] = "say " + was * 45 + now + was * 44 + " and"
    rewrite, record = rewrite_of(dialogue, "again")
    assert rewrite is not None
    at_token, prompt = rewrite.at_token, dialogue.last_prompt
    assert record.token_ids[:at_token] == prompt[:at_token], "this is the first token that differs"
    assert record.token_ids[at_token] != prompt[at_token]
    assert (rewrite.expected.token_id, rewrite.got.token_id) == (record.token_ids[at_token], prompt[at_token])
    for reading in (rewrite.expected, rewrite.got):
        assert "\ufffd" not in reading.before + reading.after + (reading.token or "")
        assert len(reading.before) == len(reading.after) == EXCERPT_CHARS
    assert (rewrite.expected.after[0], rewrite.got.after[0]) == (was, now)


def test_a_tokenizer_whose_text_is_not_the_text_shows_where_the_ids_part() -> None:
    tokenizer = TOKENIZERS["lowercases"]
    dialogue = Dialogue(tokenizer)
    dialogue.turn("Remember ANNA and the rest of it", [*tokenizer.encode("yes").token_ids, IM_END])
    dialogue.messages[0]["content"] = "Remember BERT and the rest of it"
    rewrite, _ = rewrite_of(dialogue, "again")
    assert rewrite is not None
    assert "anna" in rewrite.expected.after.lower()
    assert "bert" in rewrite.got.after.lower()
    assert rewrite.expected.token_id != rewrite.got.token_id


def test_where_nothing_was_rewritten_there_is_nothing_to_show() -> None:
    dialogue = Dialogue()
    dialogue.turn("where?", [*spell("here", 3), IM_END])
    assert rewrite_of(dialogue, "who?")[0] is None
