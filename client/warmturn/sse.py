"""Server-sent events, as https://html.spec.whatwg.org/multipage/server-sent-events.html parses them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    event: str
    data: str


class SSEParser:
    """Bytes in, in pieces of any size; complete events out. An event cut off by the end of the stream is dropped."""

    def __init__(self) -> None:
        self._unfinished_line = b""
        self._ended_in_cr = False
        self._at_start = True
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        if self._ended_in_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._ended_in_cr = False
        if not chunk:
            return
        self._ended_in_cr = chunk.endswith(b"\r")
        *lines, self._unfinished_line = _LINE_END.split(self._unfinished_line + chunk)
        for line in lines:
            yield from self._line(line)

    def _line(self, raw: bytes) -> Iterator[ServerSentEvent]:
        line = raw.decode("utf-8", errors="replace")
        if self._at_start:
            line = line.removeprefix("\ufeff")
            self._at_start = False
        if not line:
            yield from self._dispatch()
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value

    def _dispatch(self) -> Iterator[ServerSentEvent]:
        if self._data:
            yield ServerSentEvent(self._event or "message", "\n".join(self._data))
        self._event, self._data = "", []


def parse_sse(chunks: Iterable[bytes]) -> Iterator[ServerSentEvent]:
    parser = SSEParser()
    for chunk in chunks:
        yield from parser.feed(chunk)
