"""The frame around a picture: its size, its axes, and the names at the ends of lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from warmturn.format import byte_size
from warmturn_bench.report.scale import Scale
from warmturn_bench.report.svg import element, text

_LABEL_HEIGHT = 15.0


@dataclass(frozen=True, slots=True)
class Area:
    """Pixels of the whole picture and of what lies around the plot."""

    width: int
    height: int
    left: int = 70
    right: int = 86
    top: int = 38
    bottom: int = 46

    @property
    def x_end(self) -> int:
        return self.width - self.right

    @property
    def y_end(self) -> int:
        return self.height - self.bottom

    @property
    def narrow(self) -> bool:
        return self.width < 500


WIDE, NARROW = Area(820, 360), Area(380, 310, left=60, right=82)


@dataclass(frozen=True, slots=True)
class Axis:
    scale: Scale
    label: str
    written: Callable[[float], str]


@dataclass(frozen=True, slots=True)
class LineEnd:
    name: str
    style: str
    y: float


def frame(area: Area, x: Axis, y: Axis) -> str:
    return "".join(_horizontal(area, y)) + "".join(_vertical(area, x)) + _labels(area, x, y)


def names_at_ends(area: Area, ends: Sequence[LineEnd]) -> str:
    """Beside the last point, moved apart where they would lie on each other."""
    placed, lowest = [], float("-inf")
    for end in sorted(ends, key=lambda one: one.y):
        y = lowest = max(end.y, lowest + _LABEL_HEIGHT)
        placed.append(text(end.name, area.x_end + 8.0, y + 4, class_=f"name {end.style}"))
    return "".join(placed)


def picture(area: Area, description: str, *content: str) -> str:
    """`description` is for those who do not see it."""
    return element(
        "svg",
        *content,
        class_="narrow" if area.narrow else "wide",
        view_box=f"0 0 {area.width} {area.height}",
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        aria_label=description,
    )


def marked(area: Area, at: float, words: str) -> str:
    """A moment or a value that matters; its name stands on the side where there is room."""
    line = element("line", x1=at, x2=at, y1=area.top - 6, y2=area.y_end, class_="mark")
    left = at > (area.left + area.x_end) / 2
    anchor = "end" if left else "start"
    return line + text(words, at - 6 if left else at + 6, area.top - 2, class_="note", text_anchor=anchor)


def _horizontal(area: Area, y: Axis) -> list[str]:
    lines = []
    for value in y.scale.ticks():
        at = y.scale(value)
        style = "axis" if value == 0 else "grid"
        lines.append(element("line", x1=area.left, x2=area.x_end, y1=at, y2=at, class_=style))
        lines.append(text(y.written(value), area.left - 8, at + 4, class_="tick", text_anchor="end"))
    return lines


def _vertical(area: Area, x: Axis) -> list[str]:
    marks = []
    for value in x.scale.ticks():
        at = x.scale(value)
        marks.append(element("line", x1=at, x2=at, y1=area.y_end, y2=area.y_end + 4, class_="axis"))
        marks.append(text(x.written(value), at, area.y_end + 18, class_="tick", text_anchor="middle"))
    return marks


def _labels(area: Area, x: Axis, y: Axis) -> str:
    middle = (area.left + area.x_end) / 2
    below = text(x.label, middle, area.height - 8, class_="label", text_anchor="middle")
    return below + text(y.label, 6, 18, class_="label")


def in_milliseconds(highest: float) -> Callable[[float], str]:
    """All marks of an axis in the same unit."""
    if highest >= 2000:
        return lambda value: f"{value / 1000:g} s"
    return lambda value: f"{value:g} ms"


def in_bytes(value: float) -> str:
    return byte_size(value).replace(".0 ", " ")


def in_seconds(value: float) -> str:
    return f"{value:g} s"


def as_percent(value: float) -> str:
    return f"{value:.0%}"


def as_count(value: float) -> str:
    return f"{value:,.0f}"
