"""A stream in which nothing happens is not taken for dead."""

import asyncio

import pytest
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat

from warmturn_server.api import sse


async def test_a_turn_that_waits_is_heard_of(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_SECONDS", 0.02)
    chat.engine.gate.clear()
    async with client_of(chat) as http:
        asking = asyncio.create_task(http.post("/v1/responses", json={"input": "who?", "stream": True}))
        for _ in range(10):
            await asyncio.sleep(sse.PING_SECONDS)
        chat.engine.gate.set()
        events = (await asking).text
    assert events.count("\n\n: ping\n\n") > 1
    assert "response.completed" in events
