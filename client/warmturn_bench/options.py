"""What the user asked for, checked before anything is started."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path

from warmturn.errors import SettingsError
from warmturn.wire import REUSE_MODES, ReuseMode
from warmturn_bench.load import ClosedLoop, Load, OpenLoop
from warmturn_bench.plan import Plan
from warmturn_bench.workload.scenario import SCENARIOS, Scenario
from warmturn_bench.workload.script import Scripts

_CLIENTS = 2
_FEWEST_ROUNDS = 3
"""So that each mode can be first, second and third once."""
_TOGETHER = 4
_IDLE = 4
"""Conversations for each client, where most shall lie idle."""
_ENDLESS = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """As on the command line; None where nothing was said. `modes` are names with commas between them."""

    scenario: str | None = None
    trace: Path | None = None
    modes: str | None = None
    clients: int | None = None
    rate: float | None = None
    conversations: int | None = None
    turns: int | None = None
    duration: float | None = None
    seed: int = 1
    url: str | None = None
    model: str | None = None
    dtype: str | None = None
    goodput_ttft_ms: float = 200.0
    ignore_eos: bool = False

    def check(self) -> None:
        """Raises `SettingsError` with what to do."""
        self._not_both("--clients", self.clients, "--rate", self.rate)
        self._not_both("--turns", self.turns, "--duration", self.duration)
        self._not_both("--scenario", self.scenario, "--trace", self.trace)
        self._not_both("--url", self.url, "--dtype", self.dtype)
        if self.url is not None and self.kind.kills:
            raise SettingsError("the scenario restart kills the server, so it starts its own: leave --url out")
        if self.turns == 1 and self.kind.kills:
            raise SettingsError("the scenario restart kills the server between turns, so it needs --turns 2 or more")
        self.wanted_modes()

    @property
    def kind(self) -> Scenario:
        return SCENARIOS[self.scenario or "chat"]

    @property
    def load(self) -> Load:
        return ClosedLoop(self.clients or _CLIENTS) if self.rate is None else OpenLoop(self.rate)

    @property
    def num_clients(self) -> int:
        """Turns that may be under way together, as far as that can be said before."""
        return self.clients or _CLIENTS

    @property
    def load_in_words(self) -> str:
        if self.rate is not None:
            return f"open loop, {self.rate:g} turns a second on average (Poisson)"
        return f"closed loop, {self.num_clients} client{'s' if self.num_clients != 1 else ''}"

    @property
    def num_turns(self) -> int:
        """Of each conversation."""
        return _ENDLESS if self.is_endless else self.turns or self.kind.turns

    @property
    def is_endless(self) -> bool:
        """Conversations in rounds go on until the time is up or the context is full."""
        return self.duration is not None and self.kind.in_rounds

    def plan(self, scripts: Scripts) -> Plan:
        wanted = self.conversations or self._usual_conversations(scripts)
        in_rounds = self.kind.in_rounds and self.trace is None
        if self.duration is not None and not in_rounds:
            return Plan(scripts, None, self.conversations or max(self._at_once, _TOGETHER))
        return Plan(scripts, wanted, max(self._at_once, ceil(wanted / _FEWEST_ROUNDS)), in_rounds, self.kills)

    @property
    def kills(self) -> bool:
        """Whether the server is to be killed half-way."""
        return self.kind.kills and self.trace is None

    @property
    def _at_once(self) -> int:
        """Conversations needed to keep all clients busy."""
        return 1 if self.rate is not None else self.num_clients

    def _usual_conversations(self, scripts: Scripts) -> int:
        if scripts.count is not None:
            return scripts.count
        return max(self.kind.conversations, self._at_once * (_IDLE if self.kind.in_rounds else _FEWEST_ROUNDS))

    def wanted_modes(self) -> tuple[ReuseMode, ...] | None:
        """None where the server decides."""
        if self.modes is None:
            return None
        names = [name.strip() for name in self.modes.split(",")]
        if unknown := [name for name in names if name not in REUSE_MODES]:
            raise SettingsError(f"--modes {unknown[0] or 'is empty'}: known are {', '.join(REUSE_MODES)}")
        return tuple(mode for mode in REUSE_MODES if mode in names)

    def modes_on(self, offered: tuple[ReuseMode, ...]) -> tuple[ReuseMode, ...]:
        wanted = self.wanted_modes() or offered
        if missing := [mode for mode in wanted if mode not in offered]:
            raise SettingsError(
                f"{self.url} is no Warmturn server: it cannot be told to recompute, so --modes {missing[0]} cannot be "
                "measured there; leave --modes out"
            )
        return wanted

    @staticmethod
    def _not_both(first: str, first_value: object, second: str, second_value: object) -> None:
        if first_value is not None and second_value is not None:
            raise SettingsError(f"give either {first} or {second}, not both")
