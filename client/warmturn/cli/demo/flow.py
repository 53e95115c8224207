"""Words as they come, each whole on its line."""

import re
import sys

from rich.cells import cell_len
from rich.console import Console

_BEHIND_A_BLANK = re.compile(r"(?<=\s)")


class Flow:
    """A word is printed once it is whole; in files lines are as long as they were said."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rest = self._gap = ""
        self._column = 0

    def add(self, text: str) -> None:
        *words, self._rest = _BEHIND_A_BLANK.split(self._rest + text)
        for word in words:
            self._put(word)

    def end(self) -> None:
        """What comes next begins a line."""
        self._put(self._rest)
        self._rest = ""
        if self._column:
            self._new_line()

    def _put(self, word: str) -> None:
        """With the blanks behind it, which are printed only before another word."""
        said = word.rstrip()
        if said:
            room = self._console.width if self._console.is_terminal else sys.maxsize
            if self._column and self._column + cell_len(self._gap + said) > room:
                self._new_line()
            self._print(self._gap + said)
            self._column += cell_len(self._gap + said)
            self._gap = ""
        self._gap += word[len(said) :]
        if "\n" in self._gap:
            self._new_line()

    def _new_line(self) -> None:
        self._print("\n")
        self._gap, self._column = "", 0

    def _print(self, text: str) -> None:
        self._console.print(text, end="", markup=False, soft_wrap=True)
