"""Scalable vector graphics as text: elements, paths and the numbers in them."""

from collections.abc import Iterable, Sequence
from html import escape

Point = tuple[float, float]


def element(name: str, *content: str, **attributes: object) -> str:
    """`class_` for class, underscores for dashes. Text content must be escaped already: see `text`."""
    given = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items())
    inner = "".join(content)
    return f"<{name}{given}>{inner}</{name}>" if inner else f"<{name}{given}/>"


def text(words: str, x: float, y: float, **attributes: object) -> str:
    return element("text", escape(words), x=x, y=y, **attributes)


def tooltip(words: str) -> str:
    return element("title", escape(words))


def line_path(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def step_path(points: Sequence[Point]) -> str:
    """Goes right first, then up: a value holds until the next one."""
    (x, y), *rest = points
    return f"M{number(x)} {number(y)}" + "".join(f"H{number(x)}V{number(y)}" for x, y in rest)


def band_path(lower: Sequence[Point], upper: Sequence[Point]) -> str:
    return line_path([*upper, *reversed(lower)]) + "Z"


def number(value: float) -> str:
    """A tenth of a pixel is enough."""
    return f"{value:.1f}".removesuffix(".0")


def _name(key: str) -> str:
    return "viewBox" if key == "view_box" else key.rstrip("_").replace("_", "-")


def _value(value: object) -> str:
    return number(value) if isinstance(value, float) else escape(str(value))
