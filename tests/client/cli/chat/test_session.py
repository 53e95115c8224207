"""What the chat does on the server, against scripted replies: the cases that a real server shows only now and then."""

import json
from typing import Any

import httpx
import pytest
from tests.client.fake_server import reply_events, sse

from warmturn import ApiError, Client, Conversation
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.lookup import NoSuchConversation, find_conversation

BUSY = {"error": {"message": "another turn is running", "code": "conversation_locked"}}


def conversation_object(conversation_id: str, created_at: int, updated_at: int, title: str = "") -> dict[str, Any]:
    return {"id": conversation_id, "created_at": created_at, "updated_at": updated_at, "metadata": {"title": title}}


def client_of(*replies: httpx.Response) -> Client:
    """Gives these replies in turn, whatever is asked."""
    waiting = list(replies)
    return Client("http://test", transport=httpx.MockTransport(lambda _: waiting.pop(0)))


def session_on(*replies: httpx.Response) -> ChatSession:
    return ChatSession(client_of(*replies), conversation=Conversation("conv_1", 1, 1))


def busy(retry_after: str) -> httpx.Response:
    return httpx.Response(409, json=BUSY, headers={"retry-after": retry_after})


def test_a_conversation_that_a_stopped_turn_still_holds_is_waited_for() -> None:
    session = session_on(*[busy("0.01")] * 2, httpx.Response(200, content=sse(*reply_events("hi"))))
    with session.say("hello") as stream:
        assert list(stream.text()) == ["hi"]
    assert [turn.text for turn in session.turns] == ["hi"]


def test_but_not_for_ever() -> None:
    with pytest.raises(ApiError, match="another turn"), session_on(busy("60")).say("hello"):
        raise AssertionError("entered")


def test_other_errors_are_told_at_once() -> None:
    error = {"error": {"message": "too long", "code": "context_length_exceeded"}}
    with pytest.raises(ApiError, match="too long"), session_on(httpx.Response(400, json=error)).say("hello"):
        raise AssertionError("entered")


def test_instructions_too_long_to_be_kept_are_used_all_the_same() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if request.url.path == "/v1/responses":
            return httpx.Response(200, content=sse(*reply_events("hi")))
        return httpx.Response(200, json=conversation_object("conv_1", 1, 1))

    session = ChatSession(Client("http://test", transport=httpx.MockTransport(answer)), system="x" * 513)
    with session.say("hello") as stream:
        list(stream)
    bodies = [request.content.decode() for request in asked]
    assert "x" * 513 not in bodies[0]
    assert "x" * 513 in bodies[1]


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ("hello  there,\nyou", "hello there, you"),
        ("a" * 60, "a" * 60),
        ("a" * 61, "a" * 59 + "…"),
        ("My cat " * 9, "My cat My cat My cat My cat My cat My cat My cat My cat My…"),
    ],
)
def test_a_title_is_the_first_words_and_ends_with_a_whole_one(words: str, title: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.content.decode())
        return httpx.Response(200, json=conversation_object("conv_1", 1, 1))

    session = ChatSession(Client("http://test", transport=httpx.MockTransport(answer)), Conversation("conv_1", 1, 1))
    session.set_title(words)
    assert json.loads(asked[0])["metadata"]["title"] == title


def listing(*conversations: dict[str, Any]) -> httpx.Response:
    return httpx.Response(200, json={"data": list(conversations), "has_more": False})


def test_the_last_conversation_is_the_one_used_last() -> None:
    found = find_conversation(
        client_of(listing(conversation_object("conv_b", 2, 2), conversation_object("conv_a", 1, 9))), "last"
    )
    assert found.id == "conv_a"


def test_where_there_is_none_there_is_no_last() -> None:
    with pytest.raises(NoSuchConversation, match="warmturn chat"):
        find_conversation(client_of(listing()), "last")


def knowing(*conversations: dict[str, Any]) -> Client:
    """Of a server that has these, and finds nothing by an id that is not whole."""
    replies = {f"/v1/conversations/{one['id']}": httpx.Response(200, json=one) for one in conversations}
    replies["/v1/conversations"] = listing(*conversations)
    not_found = httpx.Response(404, json={"error": {"message": "not found"}})
    return Client("http://test", transport=httpx.MockTransport(lambda asked: replies.get(asked.url.path, not_found)))


FOX = conversation_object("conv_b2345", 2, 2, "red fox")
WHALE = conversation_object("conv_a1234", 1, 1, "blue whale")


@pytest.mark.parametrize("name", ["conv_a1234", "conv_a12", "conv_a", "a1234", "a1", "a", "blue whale"])
def test_names(name: str) -> None:
    assert find_conversation(knowing(FOX, WHALE), name).id == "conv_a1234"


@pytest.mark.parametrize(
    "name", ["", "conv_", "conv", "/", "conv_a1234/", "conv_a1234/items", "conv_a1234?x=1", "a\nb"]
)
def test_what_is_no_name_is_not_taken_for_one(name: str) -> None:
    with pytest.raises(NoSuchConversation):
        find_conversation(knowing(WHALE), name)


def test_a_title_may_look_like_a_path() -> None:
    assert find_conversation(knowing(conversation_object("conv_c", 1, 1, "AC/DC?")), "AC/DC?").id == "conv_c"


@pytest.mark.parametrize("name", ["conv_a1234", "conv_a123", "a123", "blue whale"])
def test_of_a_beginning_more_may_be_asked(name: str) -> None:
    assert find_conversation(knowing(FOX, WHALE), name, least_characters=4).id == "conv_a1234"
    with pytest.raises(NoSuchConversation):
        find_conversation(knowing(FOX, WHALE), "conv_a12", least_characters=4)


def test_a_failing_server_is_not_taken_for_an_unknown_name() -> None:
    with pytest.raises(ApiError, match="boom"):
        find_conversation(client_of(httpx.Response(500, json={"error": {"message": "boom"}})), "x")


def test_files_go_with_no_question_that_is_asked_again() -> None:
    draft = Conversation("conv_2", 1, 1, metadata={"draft_of": "conv_1"})
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content)["input"])
        return httpx.Response(200, content=sse(*reply_events("hi")))

    client = Client("http://test", transport=httpx.MockTransport(answer))
    session = ChatSession(client, conversation=draft, attached="the file: ")
    for conversation in (draft, Conversation("conv_1", 1, 1)):
        session.conversation = conversation
        with session.say("what?") as stream:
            list(stream.text())
    assert asked == ["what?", "the file: what?"]


def test_files_of_a_turn_that_was_stopped_and_kept_are_not_said_again() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(json.loads(request.content)["input"])
        return httpx.Response(200, content=sse(*reply_events("hi")))

    client = Client("http://test", transport=httpx.MockTransport(answer))
    session = ChatSession(client, conversation=Conversation("conv_1", 1, 1), attached="the file: ")
    with pytest.raises(KeyboardInterrupt), session.say("what?"):
        raise KeyboardInterrupt
    with session.say("and?") as stream:
        list(stream.text())
    assert asked == ["the file: what?", "and?"]
