"""A conversation that another turn holds is waited for as the server says, and named to who stands before servers."""

import httpx
import pytest
from tests.client.fake_server import response

from warmturn import ApiError, Client, ProtocolError

BUSY = {"error": {"message": "another turn is running", "code": "conversation_locked"}}


class Answers:
    """Gives these replies in turn."""

    def __init__(self, *replies: httpx.Response) -> None:
        self.waiting = list(replies)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.waiting.pop(0)


def client(answers: Answers, patience: float = 5.0) -> Client:
    return Client("http://test", patience=patience, transport=httpx.MockTransport(answers))


def busy(code: str = "conversation_locked", **headers: str) -> httpx.Response:
    error = {"error": {"message": "another turn is running", "code": code}}
    return httpx.Response(409, json=error, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_it_is_asked_again_when_the_server_says() -> None:
    answers = Answers(busy(retry_after="0.01"), busy(retry_after="0.01"), httpx.Response(200, json=response("hi")))
    assert client(answers).respond("hello", conversation="conv_1").text == "hi"
    assert len({request.content for request in answers.asked}) == 1
    assert answers.waiting == []


@pytest.mark.parametrize(
    "refused",
    [
        busy(),
        busy(retry_after="60"),
        busy(retry_after="Fri, 01 Jan 2100 00:00:00 GMT"),
        busy("changed", retry_after="0"),
    ],
    ids=["unsaid", "too-long", "a-date", "another-conflict"],
)
def test_anything_else_is_told_at_once(refused: httpx.Response) -> None:
    answers = Answers(refused)
    with pytest.raises(ApiError, match="another turn") as told:
        client(answers).respond("hello", conversation="conv_1")
    assert told.value.retry_after_seconds in (None, 0.0, 60.0)
    assert len(answers.asked) == 1


def test_without_patience_nobody_waits() -> None:
    with pytest.raises(ApiError) as told:
        client(Answers(busy(retry_after="0.01")), patience=0).conversations.delete("conv_1")
    assert told.value.retry_after_seconds == 0.01


def test_the_conversation_is_named_in_a_header() -> None:
    answers = Answers(*(httpx.Response(200, json=response("hi")) for _ in range(3)))
    asking = client(answers)
    asking.respond("hello", conversation="conv_1")
    asking.respond("hello", previous_response_id="resp_1")
    with pytest.raises(ProtocolError):  # what it is answered matters to nobody here
        asking.conversations.warm("conv_2")
    assert [request.headers.get("x-session-id") for request in answers.asked] == ["conv_1", None, "conv_2"]


def test_what_is_no_id_is_in_no_header() -> None:
    answers = Answers(httpx.Response(200, json=response("hi")))
    client(answers).respond("hello", conversation="conv_1\r\nevil: 1")
    assert "x-session-id" not in answers.asked[0].headers
