"""What a client is told when the server fails, before and in the middle of an answer."""

import json
from typing import Any

import httpx
import pytest
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat, user

from warmturn_server.api.responses.events import ResponseEvents
from warmturn_server.chat import TurnRequest
from warmturn_server.errors import EngineFailed, Overloaded

MESSAGES = [{"role": "user", "content": "who?"}]


def events_of(reply: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (EngineFailed("the model failed"), 500, "engine_failed"),
        (Overloaded("the server is shutting down"), 503, "overloaded"),
        (ZeroDivisionError("secret detail"), 500, "server_error"),
    ],
)
class TestTheEngineFails:
    async def test_without_streaming(self, chat: Chat, failure: Exception, status: int, code: str) -> None:
        chat.engine.failure = failure
        async with client_of(chat) as http:
            for path, body in {"responses": {"input": "who?"}, "chat/completions": {"messages": MESSAGES}}.items():
                reply = await http.post(f"/v1/{path}", json=body)
                assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
                assert "secret detail" not in reply.text

    async def test_in_a_stream_of_events(self, chat: Chat, failure: Exception, status: int, code: str) -> None:
        del status
        chat.engine.failure = failure
        async with client_of(chat) as http:
            reply = await http.post("/v1/responses", json={"input": "who?", "stream": True})
            *_, delta, failed, error = events_of(reply)
            assert delta["type"] == "response.output_text.delta"
            assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
            assert failed["response"]["error"]["code"] == code
            assert (error["type"], error["code"]) == ("error", code)
            assert "secret detail" not in reply.text
            assert (await http.get(f"/v1/responses/{failed['response']['id']}")).status_code == 404

    async def test_in_a_stream_of_chunks(self, chat: Chat, failure: Exception, status: int, code: str) -> None:
        del status
        chat.engine.failure = failure
        async with client_of(chat) as http:
            reply = await http.post("/v1/chat/completions", json={"messages": MESSAGES, "stream": True})
        assert events_of(reply)[-1]["error"]["code"] == code
        assert reply.text.endswith("data: [DONE]\n\n")


async def test_a_turn_that_cannot_be_logged_never_looks_complete(chat: Chat) -> None:
    async with client_of(chat) as http:
        made = (await http.post("/v1/conversations")).json()["id"]
        chat.store._connection.database.execute("PRAGMA query_only = ON")
        body = {"input": "who?", "conversation": made}
        streamed = await http.post("/v1/responses", json={**body, "stream": True})
        assert [event["type"] for event in events_of(streamed)][-2:] == ["response.failed", "error"]
        whole = await http.post("/v1/responses", json=body)
        assert (whole.status_code, whole.json()["error"]["code"]) == (503, "store_unavailable")
        chat.store._connection.database.execute("PRAGMA query_only = OFF")
        assert (await http.get(f"/v1/conversations/{made}/items")).json()["data"] == []
        assert (await http.post("/v1/responses", json=body)).status_code == 200


async def test_the_answer_is_in_the_log_before_the_final_event(chat: Chat) -> None:
    turn = await chat.service.start(TurnRequest((user("who?"),), stored=True))
    logged: list[bool] = []
    async for event in ResponseEvents(turn, chat.tokenizer, no_extras):
        is_in_log = chat.store.turn("", turn.id) is not None
        logged.append(is_in_log)
        assert is_in_log or b"response.completed" not in event
    assert logged[0] is False and logged[-1] is True


async def no_extras() -> dict[str, Any]:
    return {}
