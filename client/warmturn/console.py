"""Answers go to stdout, everything else to stderr; colours only on a terminal that wants them (NO_COLOR, TERM=dumb)."""

import json
import sys
from typing import Any

from rich.console import Console

notes = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)


def note(text: str, style: str = "dim") -> None:
    notes.print(text, style=style)


def answer(text: str, end: str = "\n") -> None:
    """At once, so that a stream is seen as it comes. Lone surrogates cannot be encoded; they are shown as `?`."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write((text + end).encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()


def answer_json(document: Any, *, indent: int | None = 2) -> None:
    answer(json.dumps(document, indent=indent, ensure_ascii=False))
