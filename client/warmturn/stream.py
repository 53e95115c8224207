"""A reply while it is being made."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from warmturn.errors import ApiError, ProtocolError, WarmturnError
from warmturn.sse import parse_sse
from warmturn.transport import Transport
from warmturn.wire import Turn, parse_turn


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The server took the turn; nothing is said yet."""

    response_id: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """What the model says to itself."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The last event: the whole turn, which by now is in the server's log."""

    turn: Turn


Event = TurnStarted | ReasoningDelta | TextDelta | TurnEnded


class TurnStream:
    """`with client.stream("hello") as stream: for event in stream: ...`

    Leaving the block early stops the turn on the server; with `on_disconnect="keep"` what was said is kept. `turn` is
    there once the stream has been read to its end.
    """

    def __init__(self, transport: Transport, body: Mapping[str, Any]) -> None:
        self._transport = transport
        self._body = body
        self._open = ExitStack()
        self._events: Iterator[Event] = iter(())
        self._turn: Turn | None = None

    @property
    def turn(self) -> Turn:
        if self._turn is None:
            raise WarmturnError("the turn has not ended: read the stream to its end first")
        return self._turn

    def text(self) -> Iterator[str]:
        """Only the pieces of text."""
        return (event.text for event in self if isinstance(event, TextDelta))

    def __enter__(self) -> Self:
        chunks = self._open.enter_context(self._transport.stream("/v1/responses", self._body))
        self._events = self._read(chunks)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def _read(self, chunks: Iterator[bytes]) -> Iterator[Event]:
        for message in parse_sse(chunks):
            if message.data == "[DONE]":
                continue
            event = parse_event(json_event(message.data))
            if event is not None:
                yield event
            if isinstance(event, TurnEnded):
                self._turn = event.turn
                return
        raise ProtocolError("the server ended the stream in the middle of a turn")


def json_event(data: str) -> dict[str, Any]:
    try:
        payload = json.loads(data)
    except ValueError as error:
        raise ProtocolError(f"the server sent an event that is not JSON: {data[:80]!r}") from error
    if not isinstance(payload, dict):
        raise ProtocolError(f"the server sent an event that is no object: {data[:80]!r}")
    return payload


def parse_event(payload: dict[str, Any]) -> Event | None:
    """None for events that say nothing new to a reader of text; errors are raised."""
    match payload:
        case {"type": "response.created", "response": {"id": str(response_id)}}:
            return TurnStarted(response_id)
        case {"type": "response.output_text.delta", "delta": str(text)}:
            return TextDelta(text)
        case {"type": "response.reasoning_text.delta", "delta": str(text)}:
            return ReasoningDelta(text)
        case {"type": "response.completed" | "response.incomplete", "response": dict(response)}:
            return TurnEnded(parse_turn(response))
        case {"type": "response.failed", "response": {"error": dict(error)}} | {"error": dict(error)}:
            raise _api_error(error)
        case {"type": "error"}:
            raise _api_error(payload)
        case _:
            return None


def _api_error(error: dict[str, Any]) -> ApiError:
    return ApiError(500, error.get("message") or "the server failed", code=error.get("code"), param=error.get("param"))
