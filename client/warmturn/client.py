"""The client: one class, synchronous, over httpx."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, Unpack

import httpx

from warmturn.conversations import Conversations
from warmturn.lookback import Lookback
from warmturn.stream import TurnStream
from warmturn.transport import PATIENCE_SECONDS, Transport, path_segment
from warmturn.wire import Message, Model, Turn, TurnOptions, parse_model, parse_turn

DEFAULT_URL = "http://127.0.0.1:8000"
Input = str | Sequence[Message]


@dataclass(frozen=True, slots=True)
class Readiness:
    ready: bool
    detail: dict[str, Any]

    def __bool__(self) -> bool:
        return self.ready


class Client:
    """A connection to one server. Every method raises `ServerUnreachable`, `ApiError` or `ProtocolError`.

    `timeout` is in seconds and bounds each wait for bytes, not a whole turn. `patience` too: so long a conversation is
    waited for that another turn holds, if the server says when to ask again. `transport` replaces the network in tests.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        timeout: float = 600.0,
        *,
        patience: float = PATIENCE_SECONDS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._transport = Transport(base_url, api_key, timeout, transport, patience)
        self.base_url = self._transport.base_url
        self.conversations = Conversations(self._transport)

    def respond(self, input: Input, **options: Unpack[TurnOptions]) -> Turn:  # noqa: A002
        """One turn, when it is complete."""
        return parse_turn(self._transport.post("/v1/responses", _request(input, options, stream=False)))

    def stream(self, input: Input, **options: Unpack[TurnOptions]) -> TurnStream:  # noqa: A002
        """One turn as it is made. Nothing is sent before the stream is entered."""
        return TurnStream(self._transport, _request(input, options, stream=True))

    def look_back(self, response_id: str) -> Lookback | None:
        """What an earlier reply looked at; None where the server cannot tell. It computes that reply once more."""
        params = {"include": "warmturn.lookback"}
        return parse_turn(self._transport.get(f"/v1/responses/{path_segment(response_id)}", params)).report.lookback

    def models(self) -> list[Model]:
        return [parse_model(model) for model in self._transport.get("/v1/models")["data"]]

    def stats(self) -> dict[str, Any]:
        """The server's figures, as its `/v1/stats` gives them."""
        return self._transport.get("/v1/stats")

    def ready(self) -> Readiness:
        status, detail = self._transport.status("/ready")
        return Readiness(status == httpx.codes.OK, detail)

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _request(input: Input, options: TurnOptions, *, stream: bool) -> dict[str, Any]:  # noqa: A002
    body: dict[str, Any] = {**options, "input": input if isinstance(input, str) else list(input), "stream": stream}
    include = [f"warmturn.{extra}" for extra in ("token_ids", "lookback") if body.pop(extra, False)]
    return {**body, "include": include} if include else body
