"""Turns of models that think aloud: what is told apart, what the next prompt is, and what is left to compute for it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.engines import BLOCK_SIZE
from tests.support.reference import Reference
from tests.support.thinkers import ANSWER, OWN, REAL, Family, Thinker, make_thinker, thinking_chat
from tests.support.waiting import wait_until

from warmturn_server.chat import Reasoning, RunningTurn, Text

FIRST, SECOND = "My cat is called Mio. What is the name of my cat?", "and how old is she, do you know that too?"


async def prepared(chat: Thinker) -> int:
    """Tokens that are computed of the next prompt, once nothing is left to compute."""
    while tasks := chat.service.ahead._tasks:
        await asyncio.wait(tasks)
    ahead = chat.engine._ahead
    wait_until(lambda: chat.engine._inbox.empty and not ahead._waiting, "nothing is prepared")
    return max((len(idle.token_ids) for idle in chat.engine._memory.pool._idle.values() if idle.prepared), default=0)


def plain_prompt(chat: Thinker, family: Family) -> str:
    """The second turn's, as transformers renders it."""
    said: dict[str, str] = {"role": "assistant", "content": ANSWER if family.format else family.reply}
    if family.format:
        said["reasoning_content"] = family.thought
    messages = [{"role": "user", "content": FIRST}, said, {"role": "user", "content": SECOND}]
    options: dict[str, Any] = dict(family.extra)
    text = chat.plain.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options)
    assert isinstance(text, str)
    return text


def greedy(folder: Path, prompt: tuple[int, ...], never: int | None) -> list[int]:
    """Eight tokens as transformers' own model chooses them, the end of a reply aside."""
    model, ids = Reference(folder), list(prompt)
    for _ in range(8):
        logits = model.logits(ids)[-1].clone()
        logits[never] = -torch.inf
        ids.append(int(logits.argmax()))
    return ids[len(prompt) :]


def own_tokens(chat: Thinker, family: Family) -> int:
    """Those of the second turn alone: what the user says, and what the template puts behind it."""
    text = plain_prompt(chat, family)
    return len(chat.ids(text[text.rindex(SECOND) :]))


async def two_turns(chat: Thinker, family: Family) -> tuple[RunningTurn, RunningTurn]:
    end = chat.tokenizer.special_id(family.ends)
    assert end is not None
    made = await chat.service.conversations.create("", [], {})
    where: dict[str, Any] = {"conversation_id": made.id, "template_options": dict(family.extra)}
    first = await chat.say(FIRST, [*chat.ids(family.reply), end], **where)
    await prepared(chat)
    return first, await chat.say(SECOND, **where)


@pytest.mark.parametrize("name", [*OWN, *(pytest.param(name, marks=pytest.mark.slow) for name in REAL)])
async def test_a_next_turn_is_left_little_to_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    family = {**OWN, **REAL}[name]
    folder = make_thinker(tmp_path / "model", family)
    with thinking_chat(folder, tmp_path / "data", monkeypatch) as chat:
        assert (chat.style.format.name if chat.style else None) == family.format
        first, second = await two_turns(chat, family)
        content = first.result.output[0].content
        assert content == ((Reasoning(family.thought), Text(ANSWER)) if family.format else (Text(family.reply),))
        written = chat.plain.decode(list(second.prompt_token_ids), skip_special_tokens=False)
        assert written == plain_prompt(chat, family)
        report = second.result.reply.report if second.result.reply else {}
        assert report["prefilled_tokens"] <= own_tokens(chat, family) + BLOCK_SIZE  # type: ignore[operator]
        assert second.output_token_ids == greedy(
            folder, second.prompt_token_ids, chat.tokenizer.special_id(family.ends)
        )


async def test_on_enter_only_the_last_words_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pasted text of 1,000 tokens, and a question that is typed behind it: what is computed then is as for the
    question alone."""
    pasted = " ".join(f"My cat number {number} is called Mio, who is another one." for number in range(40))
    question = "What is the name of my cat number 7?"
    folder = make_thinker(tmp_path / "model", OWN["thinks"])
    with thinking_chat(folder, tmp_path / "data", monkeypatch) as chat:
        assert len(chat.ids(pasted)) >= 1000
        made = await chat.service.conversations.create("", [], {})
        await chat.say("hello", conversation_id=made.id)
        for typed in (pasted, f"{pasted}\n{question[:20]}", f"{pasted}\n{question[:-3]}"):
            await chat.type(typed, made.id)
            await prepared(chat)
        turn = await chat.say(f"{pasted}\n{question}", conversation_id=made.id)
        report = turn.result.reply.report if turn.result.reply else {}
        alone = len(chat.ids(f"{question}<|im_end|>\n<|im_start|>assistant\n"))
        assert report["prefilled_tokens"] <= alone + BLOCK_SIZE  # type: ignore[operator]
        assert report["ahead_tokens"] >= len(chat.ids(pasted))  # type: ignore[operator]
        assert turn.output_token_ids == greedy(folder, turn.prompt_token_ids, chat.tokenizer.special_id("<|im_end|>"))


async def test_without_it_the_reply_is_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measure of what is gained, and a test of the test."""
    family = OWN["thinks"]
    folder = make_thinker(tmp_path / "model", family)
    with thinking_chat(folder, tmp_path / "data", monkeypatch) as chat:
        chat.service.ahead._after_replies = False
        _, second = await two_turns(chat, family)
        report = second.result.reply.report if second.result.reply else {}
        assert report["ahead_tokens"] == 0
        assert report["prefilled_tokens"] >= own_tokens(chat, family) + len(chat.ids(ANSWER))  # type: ignore[operator]
