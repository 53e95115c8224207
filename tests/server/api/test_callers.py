"""Who asks is one value from the API to the chat layer: what is said stays in their namespace and within limits."""

import asyncio

import httpx
import pytest
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat

from warmturn_server.chat import Limits, Principal

ANNA, BERT = Principal("anna"), Principal("bert")
MESSAGES = [{"role": "user", "content": "who?"}]
BODIES = {"responses": {"input": "who?"}, "chat/completions": {"messages": MESSAGES}}


@pytest.mark.parametrize("path", BODIES)
async def test_a_turn_is_asked_of_the_engine_for_its_caller(chat: Chat, path: str) -> None:
    for caller in (None, ANNA):
        async with client_of(chat, caller) as http:
            assert (await http.post(f"/v1/{path}", json=BODIES[path])).status_code == 200
    assert [request.tenant for request in chat.engine.requests] == ["", "anna"]


async def test_nobody_else_sees_it(chat: Chat) -> None:
    async with client_of(chat, ANNA) as anna, client_of(chat, BERT) as bert:
        made = (await anna.post("/v1/conversations")).json()["id"]
        said = (await anna.post("/v1/responses", json={"input": "who?", "conversation": made})).json()
        paths = (f"/v1/conversations/{made}", f"/v1/conversations/{made}/items", f"/v1/responses/{said['id']}")
        for path in paths:
            assert [(await http.get(path)).status_code for http in (anna, bert)] == [200, 404]
        refused = await bert.post("/v1/responses", json={"input": "and?", "conversation": made})
        assert refused.status_code == 404
        listed = [(await http.get("/v1/conversations")).json()["data"] for http in (anna, bert)]
        assert [len(conversations) for conversations in listed] == [1, 0]


@pytest.mark.parametrize("body", [{"n": 3}, {"prompt": ["who?"] * 3}])
async def test_each_choice_is_one(chat: Chat, body: dict[str, object]) -> None:
    async with client_of(chat, Principal("anna", Limits(turns_at_once=2))) as anna:
        for path, asked in (
            ("chat/completions", {"messages": MESSAGES, "n": 3}),
            ("completions", {"prompt": "who?", **body}),
        ):
            assert (await anna.post(f"/v1/{path}", json=asked)).status_code == 503
    assert chat.engine.requests == []


@pytest.mark.parametrize("path", BODIES)
async def test_a_turn_too_many_is_refused_until_another_is_over(chat: Chat, path: str) -> None:
    async def ask(http: httpx.AsyncClient) -> int:
        return (await http.post(f"/v1/{path}", json=BODIES[path])).status_code

    chat.engine.gate.clear()
    async with client_of(chat, Principal("anna", Limits(turns_at_once=2))) as anna, client_of(chat, BERT) as bert:
        under_way = [asyncio.create_task(ask(anna)) for _ in range(2)]
        while len(chat.engine.requests) < 2:
            await asyncio.sleep(0.01)
        assert await asyncio.wait_for(ask(anna), 30) == 503
        of_another = asyncio.create_task(ask(bert))
        while len(chat.engine.requests) < 3:
            await asyncio.sleep(0.01)
        chat.engine.gate.set()
        assert await asyncio.gather(*under_way, of_another, ask(anna)) == [200] * 4
