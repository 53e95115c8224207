"""An answer as it comes: rendered at a terminal, the very characters in a file or a pipe."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from warmturn.cli.console import answer, styled_console
from warmturn.cli.thought_view import thought_view
from warmturn.stream import ReasoningDelta, TextDelta, TurnStream


class AnswerView(Protocol):
    def add(self, text: str) -> None:
        """The next words."""
        ...

    def end(self) -> None:
        """That was all; a line of its own, if nothing was said."""
        ...

    def break_off(self) -> None:
        """No more will come; what comes next begins a line."""
        ...


def show_answer(stream: TurnStream, view: AnswerView) -> None:
    """As it comes, with what was thought before it folded."""
    with thought_view() as thought:
        for event in stream:
            if isinstance(event, ReasoningDelta):
                thought.add(event.text)
            elif isinstance(event, TextDelta):
                thought.fold()
                view.add(event.text)


@contextmanager
def answer_view() -> Iterator[AnswerView]:
    """For the words that come within the block."""
    view = _view()
    try:
        yield view
    except BaseException:
        view.break_off()
        raise
    view.end()


def _view() -> AnswerView:
    console = styled_console(stderr=False)
    if not console.is_terminal or console.is_dumb_terminal or console.no_color:
        return _Plain()
    from warmturn.cli.rendered_answer import RenderedAnswer  # takes a while to load

    return RenderedAnswer(console)


class _Plain:
    def __init__(self) -> None:
        self._any = False

    def add(self, text: str) -> None:
        self._any = True
        answer(text, end="")

    def end(self) -> None:
        answer("")

    def break_off(self) -> None:
        if self._any:
            answer("")
