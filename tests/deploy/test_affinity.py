"""HAProxy and our own function say the same of every request: what the balancer tells a server is compared."""

import json
import random
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import httpx
import pytest
from tests.deploy.test_balancer import Echo
from tests.support.balancer import Balancer

from warmturn_server.affinity import HEADER, session_of

IDS: Final = (
    "conv_" + "5" * 48,
    "mine",
    "a.b:c-d_e",
    "x" * 64,
    "x" * 65,
    "two words",
    "semi;colon",
    "a/b",
    "a\nb",
    "mine\n",
)
RESPONSES: Final = ("resp_" + "7" * 48, "resp_1")
PATHS: Final = (
    "/v1/responses",
    "/v1/responses/resp_1/cancel",
    "/v1/responses/input_tokens",
    "/v1/chat/completions",
    "/v1/conversations",
    "/v1/conversations/",
    "/v1/conversations/conv_1",
    "/v1/conversations/conv_1/warm",
    "/v1/models",
)
FORM: Final = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Echo]]:
    with ExitStack() as running:
        yield [running.enter_context(Echo(name)) for name in ("one", "two")]


@pytest.fixture(scope="module")
def client(servers: list[Echo], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    urls = [server.url for server in servers]
    with Balancer(urls, tmp_path_factory.mktemp("affinity")) as balancer, balancer.client() as client:
        yield client


def told_to(servers: list[Echo]) -> str | None:
    """Whoever was asked."""
    (session,) = [session for server in servers for session in server.sessions]
    for server in servers:
        server.sessions.clear()
    return session


def some_body(chance: random.Random) -> Any:
    messages = [
        {
            "role": chance.choice(["system", "developer", "user"]),
            "content": chance.choice(["hi", "who are you?", "a b"]),
        }
        for _ in range(chance.randint(0, 3))
    ]
    offered = {
        "conversation": chance.choice([*IDS, *({"id": name} for name in IDS)]),
        "previous_response_id": chance.choice(RESPONSES),
        "messages": messages,
        "input": "conversation",
        "metadata": {"conversation": "another"},
    }
    return {name: value for name, value in offered.items() if chance.random() < 0.5}


def test_both_name_the_same_session(client: httpx.Client, servers: list[Echo]) -> None:
    chance, told = random.Random(1), set[str | None]()
    for _ in range(300):
        path, named = chance.choice(PATHS), chance.choice([None, None, *IDS[:7]])
        method, body = chance.choice(["GET", "POST", "POST", "DELETE"]), json.dumps(some_body(chance)).encode()
        content = body if method == "POST" else b""
        headers = {**FORM, **({HEADER: named} if named else {})}
        assert client.request(method, path, content=content, headers=headers).status_code == 200
        session = told_to(servers)
        assert session == session_of(path, named or "", content), (method, path, named, body)
        told.add(session)
    assert None in told and len(told) > len(IDS)


@pytest.mark.parametrize("body", [b"not json", b"", b"[]", b'{"conversation": null}', b'{"conversation": {}}'])
def test_where_nothing_is_said_both_say_nothing(client: httpx.Client, servers: list[Echo], body: bytes) -> None:
    client.post("/v1/responses", content=body, headers=FORM)
    session = told_to(servers)
    assert session is None is session_of("/v1/responses", "", body)
