"""How long a run will still take."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class TimeLeft:
    """By the turns that are `done` of those that are to come, or by the clock where the run has `seconds`.

    Turns take turns at being slow, mode by mode, so that their mean is what those to come will take; later ones are
    longer, which nobody knows beforehand.
    """

    clock: Callable[[], float]
    turns: int | None = None
    seconds: float | None = None
    done: int = 0
    _began: float | None = field(default=None, init=False)

    def begin(self) -> None:
        """The first load: what comes before, as starting a server, is no turn."""
        if self._began is None:
            self._began = self.clock()

    def in_words(self) -> str:
        """Empty where nobody can say."""
        if self._began is None:
            return ""
        spent = self.clock() - self._began
        if self.seconds is not None:
            left = self.seconds - spent
            return f"{_clock(left)} left" if left > 0 else "ending the round"
        if not self.turns or not self.done:
            return ""
        return f"~{_clock(spent / self.done * max(self.turns - self.done, 0))} left"


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
