"""What is typed is told when nothing more comes for a moment; a server that does not want it is not asked again."""

import json
import sys

import httpx
import pytest
from tests.client.fake_server import reply_events, response, sse
from tests.support.waiting import wait_until

from warmturn import Client, Conversation, ReasoningDelta, TextDelta
from warmturn.cli.chat.pauses import Pauses
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.chat.turn_view import answer_turn

WARMED = {"id": "conv_1", "status": "preparing", "tokens": 5, "tokens_by_tier": None}


def test_only_the_latest_is_told_and_no_command() -> None:
    told: list[str] = []
    slow = Pauses(told.append, pause_seconds=1e6)
    slow.changed("never told")
    slow.over()
    quick = Pauses(told.append, pause_seconds=0.0)
    for text in ("my cat", "my cat", "/undo", "my dog"):
        quick.changed(text)
        wait_until(lambda timer=quick._timer: timer.finished.is_set() and not timer.is_alive(), "it goes on")  # type: ignore[misc]
    assert told == ["my cat", "", "my dog"]


def test_a_server_that_takes_nothing_is_asked_once() -> None:
    asked: list[dict[str, str]] = []
    replies = [httpx.Response(200, json=WARMED), httpx.Response(400, json={"error": {"message": "no"}})]

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content))
        return replies.pop(0)

    client = Client("http://test", transport=httpx.MockTransport(answer))
    session = ChatSession(client, conversation=Conversation("conv_1", 1, 1), system="be brief")
    for text in ("my cat", "my cat is", "my cat is called"):
        session.typed(text)
    instructions = {"instructions": "be brief"}
    assert asked == [{"input": "my cat", **instructions}, {"input": "my cat is", **instructions}]


class NewConversations:
    """A server that notes what it is asked, and knows one conversation."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, object]] = []
        self.session = ChatSession(
            Client("http://test", transport=httpx.MockTransport(self._answer)), system="be brief"
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or b"null")
        self.asked.append((request.method, request.url.path, body))
        if request.url.path == "/v1/responses":
            return httpx.Response(200, content=sse(*reply_events("hi")))
        metadata = (body or {}).get("metadata", {})
        whole = {"id": "conv_1", "created_at": 1, "updated_at": 1, "metadata": metadata}
        return httpx.Response(200, json=WARMED if request.url.path.endswith("/warm") else whole)


def test_a_first_message_is_told_as_it_is_typed_and_names_its_conversation_when_it_is_said() -> None:
    server = NewConversations()
    server.session.typed("")
    assert (server.asked, server.session.conversation) == ([], None)
    server.session.typed("my cat")
    assert not server.session.has_turns
    with server.session.say("my dog") as stream:
        list(stream)
    place, metadata = "/v1/conversations", {"system": "be brief"}
    assert server.asked[:3] == [
        ("POST", place, {"items": [], "metadata": {**metadata, "title": ""}}),
        ("POST", f"{place}/conv_1/warm", {"input": "my cat", "instructions": "be brief"}),
        ("POST", f"{place}/conv_1", {"metadata": {**metadata, "title": "my dog"}}),
    ]
    assert [path for _, path, _ in server.asked[3:]] == ["/v1/responses"]


def test_what_is_typed_and_not_said_leaves_no_conversation() -> None:
    server = NewConversations()
    server.session.typed("my cat")
    assert server.session.fork() is None
    server.session.leave()
    assert server.asked[-1] == ("DELETE", "/v1/conversations/conv_1", None)


def test_nothing_is_told_after_the_end() -> None:
    told: list[str] = []
    pauses = Pauses(told.append, pause_seconds=0.0)
    pauses.end()
    pauses.changed("too late")
    wait_until(lambda: pauses._timer is not None and not pauses._timer.is_alive(), "it goes on")
    assert told == []


def test_what_was_thought_is_one_dim_line_before_the_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = response("fine")
    thought = {"id": "rs_1", "type": "reasoning", "content": [{"type": "reasoning_text", "text": "hm, let me see"}]}
    whole["output"].insert(0, thought)
    deltas = (
        {"type": "response.reasoning_text.delta", "delta": "hm, "},
        {"type": "response.reasoning_text.delta", "delta": "let me see"},
        {"type": "response.output_text.delta", "delta": "fine"},
    )
    events = ({"type": "response.created", "response": {"id": "resp_1"}}, *deltas)
    stream = b"".join(sse(*events, {"type": "response.completed", "response": whole}))
    client = Client("http://test", transport=httpx.MockTransport(lambda _: httpx.Response(200, content=stream)))
    with client.stream("hello") as said:
        pieces = [event for event in said if isinstance(event, ReasoningDelta | TextDelta)]
    assert pieces == [ReasoningDelta("hm, "), ReasoningDelta("let me see"), TextDelta("fine")]
    assert (said.turn.text, said.turn.reasoning) == ("fine", "hm, let me see")
    session = ChatSession(client, conversation=Conversation("conv_1", 1, 1))
    answer_turn(session, "hello")
    assert capsys.readouterr().out == "fine\n"
    monkeypatch.setattr(sys, "stderr", sys.stdout)  # the order of both
    answer_turn(session, "hello")
    assert capsys.readouterr().out.startswith("thought 4 words: hm, let me see\nfine\nTTFT")
