"""What a model thinks before it answers: its end while it thinks, one dim line once it has."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.text import Text

from warmturn.cli.console import note, styled_console, visible

_SHOWN_CHARS: Final = 60


class ThoughtView:
    def __init__(self) -> None:
        self._thought = ""
        self._status = styled_console(stderr=True).status("")

    def add(self, text: str) -> None:
        """At a terminal it is seen that something comes; elsewhere nothing is."""
        self._thought += text
        end = " ".join(self._thought[-_SHOWN_CHARS:].split())
        self._status.update(Text(f"thinking: …{visible(end)}", style="dim"))
        self._status.start()

    def fold(self) -> None:
        """That was all of it, or the answer begins."""
        self.break_off()
        if words := self._thought.split():
            said = " ".join(words)
            note(f"thought {len(words):,} words: {said[:_SHOWN_CHARS]}{'…' * (len(said) > _SHOWN_CHARS)}")
        self._thought = ""

    def break_off(self) -> None:
        self._status.stop()


@contextmanager
def thought_view() -> Iterator[ThoughtView]:
    """For what is thought within the block."""
    view = ThoughtView()
    try:
        yield view
    except BaseException:
        view.break_off()
        raise
    view.fold()
