"""The ids of record stay what they are, whatever the template and the tokenizer do."""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.server.chat.transcript.tokenizers_of_other_kinds import composes, lowercases, puts_a_space_first
from tests.support.models import IM_END
from tests.support.templates import TEMPLATES
from tests.support.tokenizer import SPECIAL_TOKENS, TOKENIZER_SIZE, chat_tokenizer

from warmturn_server.chat import TextTokenizer, Transcriber, TurnId
from warmturn_server.chat.model import ChatMessage
from warmturn_server.chat.transcript.control_names import Written
from warmturn_server.chat.transcript.records import Record, RecordPart, assemble
from warmturn_server.chat.transcript.transcript import Transcript
from warmturn_server.engine.detokenizer import Detokenizer

TOKENIZERS = {
    **{name: TextTokenizer(chat_tokenizer(template)) for name, template in TEMPLATES.items()},
    "composes": TextTokenizer(composes()),
    "puts_a_space_first": TextTokenizer(puts_a_space_first()),
    "lowercases": TextTokenizer(lowercases()),
}
CHATML = TOKENIZERS["chatml"]


@dataclass
class Dialogue:
    """A conversation held without a model: the test says which ids the model would have chosen."""

    tokenizer: TextTokenizer = CHATML
    messages: list[ChatMessage] = field(default_factory=list)
    parts: list[RecordPart] = field(default_factory=list)
    last_prompt: tuple[int, ...] = ()

    @property
    def record(self) -> Record:
        return assemble(self.parts)

    def turn(self, user: str, output_ids: list[int]) -> Transcript:
        transcriber = Transcriber(self.tokenizer)
        self.messages.append({"role": "user", "content": user})
        transcript = transcriber.transcribe(transcriber.tokenizer.render(self.messages), self.record)
        self.last_prompt = transcript.token_ids
        base = TurnId(str(len(self.parts) - 1)) if self.parts else None
        self.parts.append(transcriber.part(TurnId(str(len(self.parts))), base, transcript, output_ids, ""))
        self.messages.append({"role": "assistant", "content": visible(self.tokenizer, output_ids)})
        return transcript


def visible(tokenizer: TextTokenizer, output_ids: list[int]) -> str:
    detokenizer = Detokenizer(tokenizer._backend, ())
    return "".join(detokenizer.add(token_id) for token_id in output_ids) + detokenizer.finish()


def spell(text: str, seed: int, tokenizer: TextTokenizer = CHATML) -> list[int]:
    """Ids for `text` that no tokenizer would choose: it is cut in random places first."""
    random, ids = Random(seed), list[int]()
    while text:
        size = random.randint(1, 4)
        ids += tokenizer.encode(text[:size]).token_ids
        text = text[size:]
    return ids


def decoded(tokenizer: TextTokenizer, transcript: Transcript) -> str:
    return tokenizer._backend.decode(list(transcript.token_ids), skip_special_tokens=False)


sampled_ids = st.lists(st.integers(len(SPECIAL_TOKENS), TOKENIZER_SIZE + 10), max_size=30)
"""Whatever a random model may choose, half characters and ids without a token included."""


texts = st.text(alphabet="abt he日本é😀\n", max_size=40)
roles = st.sampled_from(["user", "assistant"])
histories = st.lists(st.tuples(roles, texts), max_size=5)

SPACE_AND_A_HALF_CHARACTER = next(
    token_id for token_id in range(TOKENIZER_SIZE) if CHATML.token_bytes(token_id) == " 😀".encode()[:3]
)
UNFINISHED = "\ufffd"


@given(st.lists(st.tuples(st.text(max_size=20), sampled_ids, st.booleans()), min_size=1, max_size=6))
@example([("", [SPACE_AND_A_HALF_CHARACTER], True), ("", [], True)])
@example([("", [SPACE_AND_A_HALF_CHARACTER], False), ("", [], True)])
def test_a_conversation_that_goes_on_keeps_every_id_that_was_shown(turns: list[tuple[str, list[int], bool]]) -> None:
    """And none of half a character at a reply's end, nor what was chosen behind it."""
    dialogue = Dialogue()
    for user, output_ids, ended in turns:
        before = dialogue.record
        transcript = dialogue.turn(user, output_ids + [IM_END] * ended)
        shown = len(before.text.removesuffix("<|im_end|>").rstrip(UNFINISHED))
        is_cut = before.text[shown : shown + 1] == UNFINISHED
        kept = len([end for end in before.ends if end <= shown]) if is_cut else len(before)
        assert transcript.token_ids[:kept] == before.token_ids[:kept]
        assert transcript.kept_tokens == kept
        assert decoded(CHATML, transcript) == CHATML.render(dialogue.messages[:-1]).text


def test_generated_text_that_tokenises_otherwise_keeps_its_ids() -> None:
    dialogue = Dialogue()
    output_ids = spell("my name is Anna and the other one is Mio", seed=1)
    assert tuple(output_ids) != CHATML.encode(visible(CHATML, output_ids)).token_ids
    dialogue.turn("who?", [*output_ids, IM_END])
    again = dialogue.turn("and where?", [])
    start = len(again.token_ids) - len(again.fresh.token_ids) - len(output_ids) - 1
    assert list(again.token_ids[start : start + len(output_ids)]) == output_ids


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("said", ["here: ", "", "日本"])
def test_a_half_character_that_nobody_saw_is_not_in_the_next_prompt(said: str, ended: bool) -> None:
    dialogue, half = Dialogue(), list(CHATML.encode("😀").token_ids[:2])
    first = dialogue.turn("smile", spell(said, 1) + half + [IM_END] * ended)
    assert dialogue.messages[-1]["content"] == said
    again = dialogue.turn("go on", [])
    assert decoded(CHATML, again) == CHATML.render(dialogue.messages[:-1]).text
    assert again.kept_tokens == len(first.token_ids) + len(spell(said, 1))


def test_a_token_of_a_whole_and_half_a_character_gives_the_whole_one() -> None:
    dialogue = Dialogue()
    dialogue.turn("go on", [*spell("here", 1), SPACE_AND_A_HALF_CHARACTER])
    assert dialogue.messages[-1]["content"] == "here "
    assert decoded(CHATML, dialogue.turn("and?", [])) == CHATML.render(dialogue.messages[:-1]).text


def test_what_stands_behind_a_stop_string_is_not_in_the_next_prompt() -> None:
    dialogue = Dialogue()
    output_ids = spell("here and there", 1)
    first = dialogue.turn("where?", output_ids)
    dialogue.messages[-1]["content"] = "here"
    again = dialogue.turn("who?", [])
    assert decoded(CHATML, again) == CHATML.render(dialogue.messages[:-1]).text
    shown = dialogue.parts[0].ends[len(first.token_ids) - 1] + len("here")
    assert again.kept_tokens == len([end for end in dialogue.parts[0].ends if end <= shown])


@given(histories, st.integers(0, 9), texts)
def test_canonical_ids_do_not_depend_on_what_was_generated(said: list[tuple[str, str]], seed: int, more: str) -> None:
    transcriber = Transcriber(CHATML)
    prompt = transcriber.transcribe(Written(render(said) + "<|im_start|>assistant\n"), Record())
    record = assemble([transcriber.part(TurnId("1"), None, prompt, spell("the cat is there", seed), "")])
    text = record.text + f"<|im_end|>\n<|im_start|>user\n{more}<|im_end|>\n"
    transcript = transcriber.canonical(Written(text), record)
    assert (
        transcript.token_ids
        == transcriber.transcribe(Written(text), Record()).token_ids
        == CHATML.encode(text).token_ids
    )
    child = transcriber.part(TurnId("2"), TurnId("1"), transcript, [IM_END], "")
    whole = assemble([transcriber.part(TurnId("1"), None, prompt, spell("the cat is there", seed), ""), child])
    assert (whole.token_ids, whole.text) == ((*transcript.token_ids, IM_END), text + "<|im_end|>")


def test_thinking_that_the_template_drops_costs_reuse_from_there_on_and_is_reported() -> None:
    tokenizer = TOKENIZERS["strips_thinking"]
    dialogue = Dialogue(tokenizer)
    first = dialogue.turn("where?", [*tokenizer.encode("<think>hm</think>there").token_ids, IM_END])
    second = dialogue.turn("who?", [*tokenizer.encode("<think>her?</think>her").token_ids, IM_END])
    assert second.rewritten_at == len(first.token_ids)
    assert "<think>" not in decoded(tokenizer, second)
    third = dialogue.turn("how?", [])
    assert third.rewritten_at == len(second.token_ids), "what was rewritten before is part of the record by now"
    assert decoded(tokenizer, third).endswith(
        "assistant\nher<|im_end|>\n<|im_start|>user\nhow?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_that_prints_the_time_is_never_wrong() -> None:
    tokenizer = TOKENIZERS["clocked"]
    dialogue = Dialogue(tokenizer)
    dialogue.turn("where?", [*spell("here", 3, tokenizer), IM_END])
    second = dialogue.turn("who?", [])
    assert second.rewritten_at is not None and second.rewritten_at < 30
    assert decoded(tokenizer, second).count("It is") == 1
    assert decoded(tokenizer, second).endswith(
        "here<|im_end|>\n<|im_start|>user\nwho?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_date_that_has_not_changed_costs_nothing() -> None:
    dialogue = Dialogue(TOKENIZERS["dated"])
    dialogue.turn("where?", [*spell("here", 3), IM_END])
    assert dialogue.turn("who?", []).rewritten_at is None


def test_the_end_token_may_go_for_nothing_was_computed_for_it() -> None:
    """Templates of some models do not write the token that the model ends with."""
    transcriber = Transcriber(CHATML)
    prompt = transcriber.transcribe(Written("User: who?\nBot: "), Record())
    output_ids = [*CHATML.encode("her").token_ids, IM_END]
    record = assemble([transcriber.part(TurnId("1"), None, prompt, output_ids, "")])
    again = transcriber.transcribe(Written("User: who?\nBot: her\nUser: how?\nBot: "), record)
    assert again.kept_tokens == len(record) - 1
    assert again.rewritten_at is None


def test_a_word_that_goes_on_at_the_cut_is_tokenised_as_a_whole() -> None:
    transcript = Transcriber(CHATML).transcribe(Written("x another"), record_of("x an"))
    assert transcript.token_ids == CHATML.encode("x another").token_ids
    assert transcript.token_ids != CHATML.encode("x an").token_ids + CHATML.encode("other").token_ids


def test_no_space_is_put_before_a_text_that_goes_on() -> None:
    tokenizer = TOKENIZERS["puts_a_space_first"]
    said, more = "Bot: the cats.", "\nUser: end"
    transcript = Transcriber(tokenizer).transcribe(Written(said + more), record_of(said, tokenizer))
    assert transcript.token_ids == tokenizer.encode(said + more).token_ids
    assert transcript.kept_tokens == len(tokenizer.encode(said).token_ids)


def test_an_edit_in_text_without_spaces_keeps_what_stands_before_it() -> None:
    said = "日本語東京" * 5
    transcript = Transcriber(CHATML).transcribe(Written(said + "語"), record_of(said + "日本"))
    assert transcript.kept_tokens >= len(CHATML.encode(said).token_ids) - 2


def test_the_same_prompt_again_is_kept_whole() -> None:
    record = record_of("<|im_start|>user\nwho?<|im_end|>\n")
    transcript = Transcriber(CHATML).transcribe(Written(record.text), record)
    assert (transcript.token_ids, transcript.fresh.token_ids) == (record.token_ids, ())


def record_of(text: str, tokenizer: TextTokenizer = CHATML) -> Record:
    transcriber = Transcriber(tokenizer)
    return assemble([transcriber.part(TurnId("1"), None, transcriber.transcribe(Written(text), Record()), [], "")])


@pytest.mark.parametrize("name", ["chatml", "composes", "puts_a_space_first"])
@given(said=histories, seed=st.integers(0, 9), edited=histories, common=st.integers(0, 5), cut=st.integers(0, 40))
def test_after_any_edit_the_ids_say_exactly_the_new_text(
    name: str, said: list[tuple[str, str]], seed: int, edited: list[tuple[str, str]], common: int, cut: int
) -> None:
    tokenizer = TOKENIZERS[name]
    before = render(said) + "<|im_start|>assistant\n"
    transcriber = Transcriber(tokenizer)
    prompt = transcriber.transcribe(Written(before), Record())
    output_ids = spell(said[0][1] if said else "here", seed, tokenizer)
    record = assemble([transcriber.part(TurnId("1"), None, prompt, output_ids, "")])
    after = record.text[: len(render(said[:common])) + cut] + render(edited) + "!"
    transcript = transcriber.transcribe(Written(after), record)
    kept = transcript.kept_tokens
    assert transcript.token_ids[:kept] == record.token_ids[:kept]
    assert record.text[: record.text_length(kept)] + transcript.fresh_text == after
    if name != "puts_a_space_first":  # it decodes a text's first space to nothing
        assert decoded(tokenizer, transcript) == after


@given(said=histories, changed=texts)
def test_an_edited_message_keeps_everything_before_it(said: list[tuple[str, str]], changed: str) -> None:
    text = render(said)
    record = record_of(text + "<|im_start|>user\nhello there<|im_end|>\n")
    transcript = Transcriber(CHATML).transcribe(Written(text + f"<|im_start|>user\n{changed}<|im_end|>\n"), record)
    assert transcript.kept_tokens >= len(CHATML.encode(text).token_ids)


def render(messages: list[tuple[str, str]]) -> str:
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in messages)


@given(st.lists(st.tuples(st.text(max_size=10), st.text(alphabet="the cat", max_size=10)), min_size=1, max_size=4))
def test_a_tokenizer_that_changes_text_loses_reuse_and_nothing_else(turns: list[tuple[str, str]]) -> None:
    tokenizer = TOKENIZERS["lowercases"]
    dialogue = Dialogue(tokenizer)
    for user, said in turns:
        transcript = dialogue.turn(user, spell(said, 1, tokenizer))
        rendered = tokenizer.render(dialogue.messages[:-1]).text
        assert transcript.token_ids == tokenizer.encode(rendered).token_ids
        assert (
            transcript.token_ids[: transcript.kept_tokens]
            == assemble(dialogue.parts[:-1]).token_ids[: transcript.kept_tokens]
        )
