"""A trace: conversations as somebody recorded them, in a file of JSON values."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmturn.errors import SettingsError


@dataclass(frozen=True, slots=True)
class BlockPart:
    """Tokens `first` to `last` (without it) of a block of text; blocks of the same name hold the same."""

    block: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TracedTurn:
    """Some traces have the words themselves, others only say how long they were and which of them were alike."""

    parts: tuple[BlockPart, ...] = ()
    output_tokens: int = 0
    text: str = ""
    output_words: int = 0

    @property
    def user_tokens(self) -> int:
        """As far as the trace says it."""
        return sum(part.last - part.first for part in self.parts)


@dataclass(frozen=True, slots=True)
class TracedConversation:
    turns: tuple[TracedTurn, ...]
    system: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """`replayed` says for people what of the file is played again as it was recorded, and what is not."""

    conversations: list[TracedConversation]
    replayed: str


_DECODER = json.JSONDecoder()


def entries(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The file's objects. Raises `SettingsError` with the line of what is no JSON."""
    text = _read(path)
    in_array = text.lstrip().startswith("[")
    position, line = 0, 1
    while (start := _next(text, position, in_array)) < len(text):
        line += text.count("\n", position, start)
        value, position = _decode(path, text, start, line)
        if not isinstance(value, dict):
            raise SettingsError(f"{path}:{line}: expected an object, found {json.dumps(value)[:40]}")
        yield line, value
        line += text.count("\n", start, position)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is no text in UTF-8: {error}") from error


def _next(text: str, position: int, in_array: bool) -> int:
    """Where the next value begins; the array's own brackets and commas are passed over."""
    between = " \t\r\n[,]" if in_array else " \t\r\n"
    while position < len(text) and text[position] in between:
        position += 1
    return position


def _decode(path: Path, text: str, start: int, line: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        line += text.count("\n", start, error.pos)
        raise SettingsError(f"{path}:{line}: not JSON: {error.msg}") from error
    except RecursionError as error:
        raise SettingsError(f"{path}:{line}: nested too deeply") from error
