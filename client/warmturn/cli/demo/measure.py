"""One turn in one reuse mode, with the clock at the client."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

from warmturn.client import Client
from warmturn.errors import ProtocolError
from warmturn.stream import TextDelta
from warmturn.wire import Turn, TurnOptions


@dataclass(frozen=True, slots=True)
class Measured:
    turn: Turn
    ttft_ms: float
    total_ms: float

    @property
    def output_ids(self) -> tuple[int, ...]:
        """Equal ids are the demo's whole point, so a server that does not send them cannot be measured."""
        if self.turn.report.output_token_ids is None:
            raise ProtocolError("the server does not send token ids (include: warmturn.token_ids)")
        return self.turn.report.output_token_ids


def measure(client: Client, text: str, show: Callable[[str], None], **options: Unpack[TurnOptions]) -> Measured:
    """Greedy, so that modes can be compared token for token. A reply without any text is timed to its end."""
    options = {"temperature": 0.0, "token_ids": True, **options}
    first_text: float | None = None
    start = time.perf_counter()
    with client.stream(text, **options) as stream:
        for event in stream:
            if isinstance(event, TextDelta) and event.text:
                first_text = first_text or time.perf_counter()
                show(event.text)
    end = time.perf_counter()
    return Measured(stream.turn, 1000 * ((first_text or end) - start), 1000 * (end - start))
