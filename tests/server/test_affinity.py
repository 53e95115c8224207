"""What belongs together; `tests/deploy/test_affinity.py` holds HAProxy's configuration to the same."""

import hashlib
import json
from typing import Any

import pytest

from warmturn_server.affinity import session_of

ID = "conv_" + "0123456789abcdef" * 3
RESPONSE = "resp_" + "0123456789abcdef" * 3


def digest(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest().upper()


def message(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("path", "named", "body", "session"),
    [
        (f"/v1/conversations/{ID}", "", None, ID),
        (f"/v1/conversations/{ID}/items/msg_1", "mine", None, ID),
        ("/v1/conversations", "", {}, None),
        ("/v1/conversations", "mine", {}, "mine"),
        ("/v1/responses", "", {"conversation": ID}, ID),
        ("/v1/responses", "", {"conversation": {"id": ID}}, ID),
        ("/v1/responses", "mine", {"conversation": ID}, "mine"),
        ("/v1/responses", "", {"conversation": ID, "previous_response_id": RESPONSE}, ID),
        ("/v1/responses", "", {"previous_response_id": RESPONSE}, RESPONSE),
        ("/v1/responses", "mine", {"previous_response_id": RESPONSE}, "mine"),
        (f"/v1/responses/{RESPONSE}/cancel", "", {}, RESPONSE),
        (f"/v1/responses/{RESPONSE}/cancel", "mine", {}, "mine"),
        ("/v1/responses/input_tokens", "", {"input": "x"}, None),
        ("/v1/responses", "", {"input": "x"}, None),
        ("/v1/responses", "", {"conversation": None, "previous_response_id": None}, None),
        ("/v1/chat/completions", "", {"messages": [message("user", "hello")]}, "hello"),
        ("/v1/chat/completions", "", {"messages": [message("user", "hello there")]}, digest("hello there")),
        ("/v1/chat/completions", "", {"messages": [message("system", "be good"), message("user", "a")]}, "a"),
        ("/v1/chat/completions", "", {"messages": [message("developer", "be good")]}, digest("be good")),
        ("/v1/chat/completions", "mine", {"messages": [message("user", "hello")]}, "mine"),
        ("/v1/responses", "", {"messages": [message("user", "hello")]}, None),
        ("/v1/models", "", None, None),
        ("/v1/models", "x" * 65, None, digest("x" * 65)),
        ("/v1/responses", "", {"conversation": "a\r\nb"}, digest("a\r\nb")),
    ],
)
def test_a_session_is_named(path: str, named: str, body: object, session: str | None) -> None:
    assert session_of(path, named, b"" if body is None else json.dumps(body).encode()) == session


@pytest.mark.parametrize(
    "body", [b"not json", b"[" * 100_000, b'"conversation"', b"null", b"\xff", b'{"conversation": 5}']
)
def test_what_cannot_be_read_tells_nothing(body: bytes) -> None:
    assert session_of("/v1/responses", "", body) is None


def test_half_a_character_is_no_failure() -> None:
    assert session_of("/v1/responses", "", b'{"conversation": "\\ud800"}')
