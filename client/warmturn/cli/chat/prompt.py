"""Where the user's words come from: a terminal with history and editing, or a pipe."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from warmturn.cli.chat.pauses import Pauses

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer
    from prompt_toolkit.key_binding import KeyBindings

_CONTINUED = "\\"


class Lines(Protocol):
    """Utterances, each possibly of several lines, until the user is done."""

    interactive: bool

    def __iter__(self) -> Iterator[str]: ...

    def put_back(self, line: str) -> None:
        """The next utterance begins with it, where somebody can still change it."""
        ...


class PipedLines:
    """One utterance a line of stdin; a backslash at its end joins the next."""

    interactive = False

    def __iter__(self) -> Iterator[str]:
        utterance: list[str] = []
        for line in sys.stdin:
            stripped = line.rstrip("\r\n")
            utterance.append(stripped.removesuffix(_CONTINUED))
            if not stripped.endswith(_CONTINUED):
                yield "\n".join(utterance)
                utterance = []
        if utterance:
            yield "\n".join(utterance)

    def put_back(self, line: str) -> None:
        """Nobody could change it: an error ends a pipe."""


class TerminalLines:
    """Enter sends; Alt-Enter, or Enter after a backslash, starts another line; what is pasted is one message."""

    interactive = True

    def __init__(
        self, history: Path, completer: "Completer | None" = None, on_typed: Callable[[str], None] | None = None
    ) -> None:
        """`on_typed` hears, on a thread of its own, what stands at the prompt when nothing was typed for a moment."""
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import FileHistory
        from prompt_toolkit.output import create_output

        terminal = sys.stderr if sys.stderr.isatty() else sys.stdout
        self._session = PromptSession[str](
            "> ",
            multiline=True,
            prompt_continuation="  ",
            history=FileHistory(str(history)),
            key_bindings=_key_bindings(),
            completer=completer,
            complete_while_typing=False,
            output=create_output(stdout=terminal),
        )
        self._put_back = ""
        self._typed = Pauses(on_typed) if on_typed else None
        if (typed := self._typed) is not None:
            self._session.default_buffer.on_text_changed += lambda buffer: typed.changed(buffer.text)

    def __iter__(self) -> Iterator[str]:
        try:
            yield from self._lines()
        finally:
            if self._typed:
                self._typed.end()

    def _lines(self) -> Iterator[str]:
        while True:
            try:
                put_back, self._put_back = self._put_back, ""
                line = self._session.prompt(default=put_back)
                if self._typed:
                    self._typed.over()
                yield line
            except KeyboardInterrupt:
                continue
            except EOFError:
                return

    def put_back(self, line: str) -> None:
        self._put_back = line


def _key_bindings() -> "KeyBindings":
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.current_line_before_cursor.endswith(_CONTINUED):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @bindings.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    return bindings
