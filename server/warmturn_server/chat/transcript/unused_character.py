"""A mark that can be put into texts and found again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_PRIVATE_USE: Final = range(0xE000, 0xF900)


def unused_character(texts: Iterable[str]) -> str:
    """One that is in none of them, of those that mean nothing to anybody."""
    used = set[str]().union(*texts)
    return next(chr(code) for code in _PRIVATE_USE if chr(code) not in used)
