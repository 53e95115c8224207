"""What the user asked for, checked before anything is started."""

from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from warmturn.errors import SettingsError
from warmturn.wire import REUSE_MODES, ReuseMode
from warmturn_bench.load import ClosedLoop, Load, OpenLoop
from warmturn_bench.plan import Plan
from warmturn_bench.workload.functions import Function, functions_of
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
class WorkloadOptions:
    """What is said, and how much of it: conversations of a scenario, or out of a trace."""

    scenario: str | None = None
    trace: Path | None = None
    conversations: int | None = None
    turns: int | None = None
    duration: float | None = None
    seed: int = 1

    def check(self) -> None:
        _not_both("--turns", self.turns, "--duration", self.duration)
        _not_both("--scenario", self.scenario, "--trace", self.trace)

    @property
    def kind(self) -> Scenario:
        return SCENARIOS[self.scenario or "chat"]

    @property
    def num_turns(self) -> int:
        """Of each conversation."""
        return _ENDLESS if self.is_endless else self.turns or self.kind.turns

    @property
    def in_rounds(self) -> bool:
        return self.kind.in_rounds and self.trace is None

    @property
    def is_endless(self) -> bool:
        """Conversations in rounds go on until the time is up or the context is full."""
        return self.duration is not None and self.kind.in_rounds

    def functions(self, context_tokens: int) -> tuple[Function, ...]:
        """What an agent may call; of nothing else."""
        return () if self.trace is not None else functions_of(self.kind, self.seed, context_tokens)

    @property
    def kills(self) -> bool:
        """Whether the server is to be killed half-way."""
        return self.kind.kills and self.trace is None

    @property
    def wants_small_memory(self) -> bool:
        return self.kind.small_memory and self.trace is None


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How fast it is said: by so many clients, or so many turns a second."""

    clients: int | None = None
    rate: float | None = None

    def check(self) -> None:
        _not_both("--clients", self.clients, "--rate", self.rate)

    @property
    def loop(self) -> Load:
        return ClosedLoop(self.num_clients) if self.rate is None else OpenLoop(self.rate)

    @property
    def num_clients(self) -> int:
        """Turns that may be under way together, as far as that can be said before."""
        return self.clients or _CLIENTS

    @property
    def busy_conversations(self) -> int:
        """So many are needed to keep all clients busy."""
        return 1 if self.rate is not None else self.num_clients

    @property
    def in_words(self) -> str:
        if self.rate is not None:
            return f"open loop, {self.rate:g} turns a second on average (Poisson)"
        return f"closed loop, {self.num_clients} client{'s' if self.num_clients != 1 else ''}"


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Who answers: the server at `url`, or an own one with this model and number format."""

    url: str | None = None
    model: str | None = None
    dtype: str | None = None

    def check(self) -> None:
        _not_both("--url", self.url, "--dtype", self.dtype)


@dataclass(frozen=True, slots=True)
class Options:
    """As on the command line; None where nothing was said. `modes` are names with commas between them."""

    workload: WorkloadOptions = field(default_factory=WorkloadOptions)
    load: LoadOptions = field(default_factory=LoadOptions)
    server: ServerOptions = field(default_factory=ServerOptions)
    modes: str | None = None
    goodput_ttft_ms: float = 200.0
    ignore_eos: bool = False
    restart_command: str | None = None

    @property
    def proves(self) -> bool:
        """Whether somebody else's server is to be restarted: then its answers are compared, and there is no load."""
        return self.server.url is not None and self.workload.kills

    def check(self) -> None:
        """Raises `SettingsError` with what to do."""
        self.load.check()
        self.workload.check()
        self.server.check()
        kills = self.workload.kind.kills and not self.proves
        if self.proves:
            self._check_proof()
        elif self.restart_command is not None:
            raise SettingsError("--restart-command goes with --scenario restart --url: an own server is simply killed")
        if self.ignore_eos and self.workload.kind.functions:
            raise SettingsError("a call ends where it is whole: leave --ignore-eos out with --scenario agent")
        if self.workload.turns == 1 and kills:
            raise SettingsError("the scenario restart kills the server between turns, so it needs --turns 2 or more")
        self.wanted_modes()

    def _check_proof(self) -> None:
        given = {
            "--modes": self.modes,
            "--clients": self.load.clients,
            "--rate": self.load.rate,
            "--duration": self.workload.duration,
            "--ignore-eos": self.ignore_eos or None,
        }
        if of_load := [flag for flag, value in given.items() if value is not None]:
            raise SettingsError(
                f"{of_load[0]} is about load; --scenario restart --url compares answers, one prompt after the other"
            )

    def plan(self, scripts: Scripts) -> Plan:
        asked, at_once = self.workload, self.load.busy_conversations
        if asked.duration is not None and not asked.in_rounds:
            return Plan(scripts, None, asked.conversations or max(at_once, _TOGETHER))
        wanted = asked.conversations or self._usual_conversations(scripts)
        return Plan(scripts, wanted, max(at_once, ceil(wanted / _FEWEST_ROUNDS)), asked.in_rounds, asked.kills)

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
                f"{self.server.url} is no Warmturn server: it cannot be told to recompute, so --modes {missing[0]} "
                "cannot be measured there; leave --modes out"
            )
        return wanted

    def _usual_conversations(self, scripts: Scripts) -> int:
        if scripts.count is not None:
            return scripts.count
        kind = self.workload.kind
        return max(kind.conversations, self.load.busy_conversations * (_IDLE if kind.in_rounds else _FEWEST_ROUNDS))


def _not_both(first: str, first_value: object, second: str, second_value: object) -> None:
    if first_value is not None and second_value is not None:
        raise SettingsError(f"give either {first} or {second}, not both")
