"""Puts a Lua command together with the files that its header includes: each once, before whoever includes it.

    --- @include deadline

names `includes/deadline.lua`, which may include others in turn.
"""

from __future__ import annotations

import re
from importlib.resources.abc import Traversable
from typing import Final

_INCLUDE: Final = re.compile(r"--- @include (\w+)")


class BadScript(Exception):
    """A file's header cannot be followed; the message names the file."""


def compose(folder: Traversable, command: str) -> str:
    """The whole of `commands/<command>.lua`. Raises `BadScript`."""
    composed: dict[str, str] = {}
    _add(folder, f"commands/{command}", composed, ())
    return "\n".join(composed.values())


def _add(folder: Traversable, name: str, composed: dict[str, str], including: tuple[str, ...]) -> None:
    """Behind all that it includes; `including` leads from the command to it."""
    if name in including:
        raise BadScript(f"{including[-1]}.lua includes {name}.lua, which includes it")
    if name in composed:
        return
    text = _read(folder, name, including)
    for included in _header(name, text):
        _add(folder, f"includes/{included}", composed, (*including, name))
    composed[name] = text


def _read(folder: Traversable, name: str, including: tuple[str, ...]) -> str:
    try:
        return folder.joinpath(f"{name}.lua").read_text()
    except FileNotFoundError as error:
        by = f"{including[-1]}.lua includes " if including else ""
        raise BadScript(f"{by}{name}.lua, which is not there") from error


def _header(name: str, text: str) -> list[str]:
    """What the lines with three dashes name."""
    included: list[str] = []
    for line in text.splitlines():
        if line.startswith("---"):
            match = _INCLUDE.fullmatch(line)
            if match is None:
                raise BadScript(f"{name}.lua says {line!r}, which is no include")
            included.append(match[1])
    return included
