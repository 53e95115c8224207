"""Looks for marks in a text that comes in pieces."""

from __future__ import annotations

from collections.abc import Iterable


def first_mark(text: str, marks: Iterable[str]) -> tuple[str, str, str] | None:
    """What stands before the first of the marks in it, that mark, and the rest."""
    found = [(at, -len(mark), mark) for mark in marks if (at := text.find(mark)) >= 0]
    if not found:
        return None
    at, _, mark = min(found)
    return text[:at], mark, text[at + len(mark) :]


def overlap(text: str, mark: str) -> int:
    """Length of the longest end of `text` that `mark` begins with."""
    return next((size for size in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:size])), 0)
