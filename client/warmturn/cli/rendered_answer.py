"""An answer in Markdown, rendered while it comes."""

import time
from collections.abc import Iterable
from typing import Final

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment

from warmturn.cli.console import visible

_REFRESH_SECONDS: Final = 0.06
_ROOM_BELOW: Final = 2


class RenderedAnswer:
    """Blocks that are whole are printed for good; the one that still grows is drawn again and again.

    Of one that is higher than the terminal only its end is seen until it is whole.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._growing = ""
        self._drawn_at = 0.0
        self._last_block = ""
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="visible")

    def add(self, text: str) -> None:
        if not self._live.is_started:
            self._live.start()
        self._growing += visible(text)
        if time.monotonic() - self._drawn_at < _REFRESH_SECONDS:
            return
        whole, self._growing = split_at_last_block(self._growing)
        self._print(whole)
        self._live.update(_End(_Behind(self._last_block, self._growing)), refresh=True)
        self._drawn_at = time.monotonic()

    def end(self) -> None:
        self.break_off()
        if not self._last_block:
            self._console.print()

    def break_off(self) -> None:
        if self._live.is_started:
            self._live.update("", refresh=True)
            self._live.stop()
        self._print(self._growing)
        self._growing = ""

    def _print(self, text: str) -> None:
        if text.strip():
            self._console.print(_Behind(self._last_block, text))
            self._last_block = split_at_last_block(text)[1]


class _Behind:
    """Markdown as it stands behind an earlier block: how far from that, nothing but both together tells."""

    def __init__(self, before: str, text: str) -> None:
        self._before, self._both = before, before + text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        number = len(_lines(console, options, _markdown(self._before)))
        yield from _joined(_lines(console, options, _markdown(self._both))[number:])


class _End:
    """As much of the end as the terminal has room for."""

    def __init__(self, content: _Behind) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = max(console.height - _ROOM_BELOW, 1)
        yield from _joined(_lines(console, options, self._content)[-room:])


def _lines(console: Console, options: ConsoleOptions, content: RenderableType) -> list[list[Segment]]:
    return console.render_lines(content, options.update(height=None), pad=False)


def _joined(lines: Iterable[list[Segment]]) -> RenderResult:
    for line in lines:
        yield from line
        yield Segment.line()


def split_at_last_block(text: str) -> tuple[str, str]:
    """Markdown's blocks that nothing to come can change, and the last one, which may still grow."""
    starts = [token.map[0] for token in MarkdownIt("commonmark").parse(text) if token.level == 0 and token.map]
    if len(starts) < 2:
        return "", text
    lines = text.splitlines(keepends=True)
    return "".join(lines[: max(starts)]), "".join(lines[max(starts) :])


def _markdown(text: str) -> Markdown:
    """Addresses are shown, not hidden behind words."""
    return Markdown(text, hyperlinks=False)
