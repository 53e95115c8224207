"""In Serve's proxies: sessions are named, and requests arrive as they were sent, whatever is in them."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from warmturn_server.ray import proxy
from warmturn_server.ray.proxy import NameSession, middlewares

Heard = tuple[str | None, list[Message]]


async def heard(
    path: str, *messages: Message, method: str = "POST", query: str = "", headers: Iterable[tuple[str, str]] = ()
) -> Heard:
    """The session that the application was told, and what it could read."""
    told: list[Heard] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        del send
        sessions = [value.decode() for name, value in scope["headers"] if name == b"x-session-id"]
        assert len(sessions) <= 1
        told.append((sessions[0] if sessions else None, [await receive() for _ in messages]))

    waiting = list(messages)

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(_: Message) -> None: ...

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode()}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers]
    await NameSession(application)(scope, receive, send)
    return told[0]


def body(text: str, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": text.encode(), "more_body": more}


TURN = json.dumps({"conversation": "conv_1", "input": "hello"})


def test_serve_is_given_what_names_sessions_and_tells_trouble() -> None:
    assert [getattr(middleware.cls, "__name__", None) for middleware in middlewares()] == ["NameSession", "TellTrouble"]


async def test_the_body_is_read_and_passed_on_piece_by_piece() -> None:
    messages = [body(TURN[:7], more=True), body(TURN[7:]), {"type": "http.disconnect"}]
    assert await heard("/v1/responses", *messages) == ("conv_1", messages)


async def test_what_is_mounted_elsewhere_is_found_too() -> None:
    assert (await heard("/chat/v1/responses", body(TURN)))[0] == "conv_1"
    assert (await heard("/chat/v1/conversations/conv_2/items", method="GET"))[0] == "conv_2"


async def test_who_names_a_session_is_heard() -> None:
    assert (await heard("/v1/responses", body("{}"), headers=[("x-session-id", "mine")]))[0] == "mine"
    assert (await heard("/v1/conversations/conv_1", headers=[("x-session-id", "mine")]))[0] == "conv_1"


async def test_a_client_that_goes_away_while_it_sends_is_passed_on() -> None:
    messages: list[Message] = [body("{", more=True), {"type": "http.disconnect"}]
    assert await heard("/v1/responses", *messages) == (None, messages)


async def test_a_body_too_long_to_be_taken_is_not_kept_here() -> None:
    messages = [body("x" * 2**20, more=True), body("x", more=True), body("never read before it is asked for")]
    session, received = await heard("/v1/responses", *messages)
    assert session is None and received == messages


async def test_bodies_of_other_requests_are_not_touched() -> None:
    """A scope alone is enough for them."""
    assert await heard("/v1/conversations") == (None, [])
    assert await heard("/v1/responses/resp_1", method="GET") == ("resp_1", [])


async def test_figures_are_asked_of_one_replica() -> None:
    assert (await heard("/metrics", method="GET", query="replica=abc"))[0] == "replica:abc"
    assert (await heard("/metrics", method="GET", query="names=vllm"))[0] is None
    assert (await heard("/metrics", method="GET", query="replica=%C3%A9"))[0] is None


async def test_whatever_fails_here_fails_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> str:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(proxy, "session_of", fails)
    assert await heard("/v1/responses", body(TURN)) == (None, [body(TURN)])
