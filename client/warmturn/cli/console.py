"""Answers go to stdout, everything else to stderr; colours only on a terminal that wants them (NO_COLOR, TERM=dumb)."""

import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

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


def tell(console: Console, text: str, style: str = "") -> None:
    """Between words, and indented as it begins, at a terminal; in files each line is one."""
    if not console.is_terminal:
        console.print(text, style=style, markup=False, soft_wrap=True)
        return
    for line in text.split("\n"):
        said = line.lstrip()
        console.print(Padding.indent(Text(said, style=style), len(line) - len(said)) if said else "")


def note_rows(rows: Mapping[str, str]) -> None:
    """A name and what it means in each; at a terminal what is long goes on below itself."""
    width = max(map(len, rows))
    if not _notes.is_terminal:
        for name, meaning in rows.items():
            note(f"{name:{width}}  {meaning}")
        return
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for name, meaning in rows.items():
        table.add_row(Text(visible(name), style="dim", no_wrap=True), Text(visible(meaning), style="dim"))
    _notes.print(table)


def answer(text: str, end: str = "\n") -> None:
    """At once, so that a stream is seen as it comes. Files and pipes get every character as it is."""
    sys.stdout.write((visible(text) if sys.stdout.isatty() else text) + end)
    sys.stdout.flush()


def answer_json(document: Any, *, indent: int | None = 2) -> None:
    answer(json.dumps(document, indent=indent, ensure_ascii=False))
