"""Answers go to stdout, everything else to stderr; colours only on a terminal that wants them (NO_COLOR, TERM=dumb)."""

import json
import os
import re
import sys
from typing import Any

from rich.console import Console

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def styled_console(*, stderr: bool) -> Console:
    """NO_COLOR takes bold and dim away too: who sets it wants plain text."""
    is_plain = bool(os.environ.get("NO_COLOR"))
    return Console(stderr=stderr, highlight=False, emoji=False, color_system=None if is_plain else "auto")


_notes = styled_console(stderr=True)


def visible(text: str) -> str:
    """What a model says must not steer the terminal: control characters other than newline and tab are replaced."""
    return _CONTROL.sub("\ufffd", text)


def note(text: str, style: str = "dim") -> None:
    """A terminal breaks lines anywhere, we between words; files get lines as they are."""
    _notes.print(visible(text), style=style, markup=False, soft_wrap=not _notes.is_terminal)


def answer(text: str, end: str = "\n") -> None:
    """At once, so that a stream is seen as it comes. Files and pipes get every character as it is."""
    sys.stdout.write((visible(text) if sys.stdout.isatty() else text) + end)
    sys.stdout.flush()


def answer_json(document: Any, *, indent: int | None = 2) -> None:
    answer(json.dumps(document, indent=indent, ensure_ascii=False))
