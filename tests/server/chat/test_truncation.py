"""Where not all of a conversation fits, its oldest exchanges go, and the same ones for many turns."""

from collections.abc import AsyncIterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.server.chat.driver import Chat, message, user
from tests.server.chat.fake_engine import FakeEngine
from tests.server.chat.transcript.test_transcript import spell

from warmturn_server.chat import Item
from warmturn_server.chat.truncation import Exchanges
from warmturn_server.engine_api import SamplingParams

ROOM = 400
REPLY = SamplingParams(max_tokens=40)


@pytest.fixture
async def chat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chat]:
    monkeypatch.setattr(FakeEngine, "max_tokens", ROOM)
    chat = Chat(tmp_path)
    yield chat
    chat.service.close()


def items(*roles: str) -> list[Item]:
    return [message(role, f"{role} {number}") for number, role in enumerate(roles)]


@pytest.mark.parametrize(
    ("roles", "starts"),
    [
        ("user assistant user assistant user", [0, 2, 4]),
        ("system user assistant developer user", [1, 4]),
        ("assistant user user assistant user", [0, 1, 4]),
        ("user", [0]),
        ("system", []),
        ("assistant assistant", [0]),
    ],
)
def test_an_exchange_begins_with_what_the_user_says(roles: str, starts: list[int]) -> None:
    said = items(*roles.split())
    exchanges = Exchanges(said)
    assert len(exchanges) == len(starts)
    assert exchanges.without(0) == said
    for count, start in enumerate(starts[1:], 1):
        kept = [item for n, item in enumerate(said) if n >= start or item.role in ("system", "developer")]
        assert exchanges.without(count) == kept


async def say(chat: Chat, where: dict[str, Any], number: int) -> dict[str, Any]:
    turn = await chat.ask(
        (user(f"This is what I say in turn {number}."),),
        spell("and so on", number),
        truncates=True,
        sampling=REPLY,
        **where,
    )
    assert turn.reply
    return {**turn.reply.report, "response": turn.id}


@pytest.mark.slow
@pytest.mark.parametrize("by", ["conversation", "response"])
async def test_a_conversation_goes_on_for_ever(chat: Chat, by: str) -> None:
    where: dict[str, Any] = {"conversation_id": (await chat.new()).id} if by == "conversation" else {"stored": True}
    dropped, kept = list[int](), list[int]()
    for number in range(60):
        report = await say(chat, {**where, "instructions": "Be brief."}, number)
        where = where if by == "conversation" else {"stored": True, "previous_response_id": report["response"]}
        assert report["prompt_tokens"] <= ROOM - 40
        assert chat.prompt.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")
        assert chat.prompt.endswith(f"in turn {number}.<|im_end|>\n<|im_start|>assistant\n")
        dropped.append(report["dropped_items"])
        kept.append(chat.kept)
    assert dropped[:3] == [0, 0, 0] and dropped == sorted(dropped) and dropped[-1] > 60
    runs = [len(list(run)) for _, run in groupby(dropped)]
    assert len(runs) <= 60 // 4, "what is dropped changes with every turn, and no state can be reused"
    moved = [now for now, (before, after) in enumerate(pairwise(dropped), 1) if before != after]
    assert all(kept[n] > 100 for n in range(4, 60) if n not in moved), "turns go on from each other's record"


async def test_who_resends_everything_gets_the_same(chat: Chat) -> None:
    said = [("system", "Be brief.")]
    for number in range(30):
        said += [("user", f"This is what I say in turn {number}.")]
        turn = await chat.ask(tuple(message(*each) for each in said), None, truncates=True, sampling=REPLY)
        said += [("assistant", turn.output[0].text)]
    assert turn.reply and int(str(turn.reply.report["dropped_items"])) > 20
    assert chat.prompt.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n")
    assert chat.kept > 100


async def test_nothing_goes_where_all_fits_or_nothing_may(chat: Chat) -> None:
    turn = await chat.ask((user("who?"),), None, truncates=True)
    assert turn.reply and turn.reply.report["dropped_items"] == 0
    long = tuple(user(f"This is what I say in turn {number}.") for number in range(60))
    turn = await chat.ask(long, None, truncates=True)
    assert turn.reply and turn.reply.report["dropped_items"] == 0, "it is one question; the engine refuses it"
