"""Somebody types, and stops for a moment."""

import threading
from collections.abc import Callable

PAUSE_SECONDS = 0.3


class Pauses:
    """Tells what is there whenever nothing was typed for a moment; only the latest, one after the other."""

    def __init__(self, tell: Callable[[str], None], pause_seconds: float = PAUSE_SECONDS) -> None:
        self._tell = tell
        self._pause_seconds = pause_seconds
        self._timer: threading.Timer | None = None
        self._telling = threading.Lock()
        self._told = ""

    def changed(self, text: str) -> None:
        self.over()
        self._timer = threading.Timer(self._pause_seconds, self._paused, [text])
        self._timer.daemon = True
        self._timer.start()

    def over(self) -> None:
        """It is sent, or is about to change."""
        if self._timer:
            self._timer.cancel()

    def end(self) -> None:
        """Nothing more is told; waits for what is being told."""
        self.over()
        with self._telling:
            self._tell = lambda _: None

    def _paused(self, text: str) -> None:
        """A command is nobody's to know, and what was told need not be told again."""
        said = "" if text.startswith("/") else text
        with self._telling:
            if said != self._told:
                self._told = said
                self._tell(said)
