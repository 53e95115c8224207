"""Listing and resuming have the state of likely conversations brought nearer, and never fail or hang for that."""

import json
from typing import Any

import httpx
import pytest
from tests.client.command import Command
from tests.support.server import ServerProcess

from warmturn import Client, Conversation
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.prefetch import prefetch

WARMED = {"status": "started", "tokens": 1, "tokens_by_tier": None}


class Asked:
    """A server that answers each request as it is told to."""

    def __init__(self, reply: httpx.Response | Exception) -> None:
        self.paths: list[str] = []
        self.timeouts: list[Any] = []
        self._reply = reply
        self.client = Client("http://test", transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.paths.append(request.url.path)
        self.timeouts.append(request.extensions["timeout"]["read"])
        if isinstance(self._reply, Exception):
            raise self._reply
        return self._reply


def conversations(count: int) -> list[Conversation]:
    return [Conversation(f"conv_{number}", 1, 1) for number in range(count)]


def test_only_the_newest_few_and_not_for_long() -> None:
    asked = Asked(httpx.Response(200, json=WARMED))
    prefetch(asked.client, conversations(20))
    assert asked.paths == [f"/v1/conversations/conv_{number}/warm" for number in range(3)]
    assert asked.timeouts == [1.0] * 3


@pytest.mark.parametrize(
    "reply", [httpx.ReadTimeout("slow"), httpx.ConnectError("gone"), httpx.Response(404), httpx.Response(200, text="?")]
)
def test_what_fails_is_given_up_and_not_told(reply: httpx.Response | Exception) -> None:
    asked = Asked(reply)
    prefetch(asked.client, conversations(20))
    assert len(asked.paths) == 1


def test_resuming_warms_that_conversation() -> None:
    asked = Asked(httpx.Response(200, json=WARMED))
    ChatSession(asked.client).resume(Conversation("conv_7", 1, 1))
    assert asked.paths == ["/v1/conversations/conv_7/warm"]


def test_naming_the_latest_to_resume_warms_the_newest_few() -> None:
    listed = [{"id": f"conv_{number}", "created_at": 1} for number in range(5)]
    asked = Asked(httpx.Response(200, json={"data": listed, "has_more": False, **WARMED}))
    assert len(ChatSession(asked.client).recent()) == 5
    assert asked.paths[1:] == [f"/v1/conversations/conv_{number}/warm" for number in range(3)]


def test_listing_warms_the_newest_few_on_a_real_server(command: Command, shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        for number in range(5):
            http.post("/v1/responses", json={"input": "x", "conversation": made(http, number), "max_output_tokens": 1})
        before = warms(http)
        listed = [entry["id"] for entry in json.loads(command("ls", "-n", "5", "--json").ok())]
        assert len(listed) == 5
        assert warms(http) == before + 3


def test_chat_goes_on_with_what_it_has_warmed(command: Command, shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        conversation = made(http, 0)
        before = warms(http)
        command("chat", conversation, "-c", "--max-tokens", "2", stdin="hello\n").ok()
        command("chat", conversation, "-c", "--max-tokens", "2", stdin="hello\n").ok()
        assert warms(http) == before + 1, "nothing is saved before the first turn"


def made(http: httpx.Client, number: int) -> str:
    made: str = http.post("/v1/conversations", json={"metadata": {"title": f"number {number}"}}).json()["id"]
    return made


def warms(http: httpx.Client) -> float:
    """How many conversations with a record the server was asked to warm."""
    lines = http.get("/metrics").text.splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("warmturn_warms_total{"))
