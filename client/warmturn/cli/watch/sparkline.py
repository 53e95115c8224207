"""Values over time in one line of characters."""

from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.,-~=*#"


def sparkline(values: Sequence[float | None], width: int, *, ascii_only: bool = False) -> str:
    """The latest `width` values, from zero to the largest of them; a gap where nothing is known."""
    shown = list(values)[-width:] if width > 0 else []
    top = max((value for value in shown if value is not None), default=0.0)
    marks = _ASCII if ascii_only else _BLOCKS
    return "".join(_mark(value, top, marks) for value in shown).rjust(max(width, 0))


def _mark(value: float | None, top: float, marks: str) -> str:
    if value is None:
        return " "
    return marks[0] if top <= 0 else marks[min(int(value / top * len(marks)), len(marks) - 1)]
