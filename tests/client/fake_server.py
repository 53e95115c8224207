"""Replies as the server gives them, for tests of the client alone; the tests that matter run a real server."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from warmturn import Client

REPORT: dict[str, Any] = {
    "reuse": "state",
    "prompt_tokens": 1204,
    "cached_tokens": 1186,
    "prefilled_tokens": 18,
    "cached_by_tier": {"resident": 0, "ram": 1186, "disk": 0, "redis": 0},
    "queue_ms": 0.4,
    "restore_ms": 6.1,
    "prefill_ms": 31.0,
    "ttft_ms": 38.2,
    "decode_ms_per_token": 11.9,
    "recompute_ms": 1480.0,
    "recompute_ms_ci95": [1390.0, 1580.0],
    "recompute_source": "estimated",
    "saved_ms": 1442.9,
    "saved_ms_ci95": [1352.9, 1542.9],
    "miss": None,
    "control": None,
    "drafts": None,
    "executor": "lean",
    "tokens": "record",
    "record_tokens": 1190,
    "dropped_items": 0,
    "ahead_tokens": 0,
    "sampling": {"temperature": 0.0, "top_p": 1.0},
    "skipped_fields": [],
}


def response(text: str, *, status: str = "completed", **report: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "id": "resp_1",
        "object": "response",
        "model": "tiny",
        "status": status,
        "conversation": {"id": "conv_1"},
        "previous_response_id": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": content}],
        "usage": {"input_tokens": 1204, "output_tokens": 3, "total_tokens": 1207},
        "warmturn": {**REPORT, **report},
    }


def sse(*events: dict[str, Any]) -> Iterator[bytes]:
    for event in events:
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def reply_events(*pieces: str) -> tuple[dict[str, Any], ...]:
    whole = response("".join(pieces))
    deltas = ({"type": "response.output_text.delta", "delta": piece} for piece in pieces)
    created = {"type": "response.created", "response": {"id": "resp_1"}}
    return (created, {"type": "response.in_progress"}, *deltas, {"type": "response.completed", "response": whole})


class FakeServer:
    """Answers every request with what it was given last, and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.reply = httpx.Response(200, json={})
        self.client = Client("http://test", api_key="secret", transport=httpx.MockTransport(self._answer))

    def answers(self, status: int, **content: Any) -> None:
        self.reply = httpx.Response(status, **content)

    @property
    def asked(self) -> dict[str, Any]:
        """The body of the last request."""
        body: dict[str, Any] = json.loads(self.requests[-1].content)
        return body

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.reply
