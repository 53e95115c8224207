"""What kinds of conversations there are. Lengths are in tokens."""

from dataclasses import dataclass
from math import log
from random import Random
from typing import Literal

ScenarioName = Literal["chat", "long", "agent", "idle", "restart"]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lognormal: most are near the median, a few are much longer. Cut off at `least` and `most`."""

    median: int
    sigma: float = 0.5
    least: int = 4
    most: int = 4000

    def draw(self, rng: Random) -> int:
        return min(max(round(rng.lognormvariate(log(self.median), self.sigma)), self.least), self.most)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`opening` is what the first user turn carries beyond its own words, such as a document or a repository.

    In rounds, everybody has one turn before anybody has the next, so that conversations lie idle in between.
    """

    name: str
    about: str
    system_tokens: int
    user: Lengths
    answer: Lengths
    turns: int
    conversations: int
    opening: Lengths | None = None
    in_rounds: bool = False
    kills: bool = False
    small_memory: bool = False
    functions: int = 0
    """So many are offered, and one of them is called in each turn: `user` is how long their results are."""


SCENARIOS: dict[str, Scenario] = {
    "chat": Scenario(
        "chat",
        "Chats that share a system prompt and grow turn by turn.",
        system_tokens=200,
        user=Lengths(60, 0.6, most=600),
        answer=Lengths(12, 0.5, most=120),
        turns=10,
        conversations=6,
    ),
    "long": Scenario(
        "long",
        "Chats that begin with a long document and go on for a while.",
        system_tokens=100,
        user=Lengths(60, 0.5, most=300),
        answer=Lengths(16, 0.5, most=120),
        turns=8,
        conversations=6,
        opening=Lengths(1500, 0.2, most=6000),
    ),
    "agent": Scenario(
        "agent",
        "An agent's loop: a task, then ten steps in which a function is called and its result sent, on a long context.",
        system_tokens=800,
        user=Lengths(50, 0.5, most=300),
        answer=Lengths(40, 0.0),
        turns=11,
        conversations=6,
        functions=4,
    ),
    "idle": Scenario(
        "idle",
        "Many conversations that take turns: more of them than memory holds, so each is away when it comes back.",
        system_tokens=100,
        user=Lengths(40, 0.5, most=300),
        answer=Lengths(12, 0.4, most=64),
        turns=4,
        conversations=24,
        opening=Lengths(500, 0.3, most=2000),
        in_rounds=True,
        small_memory=True,
    ),
    "restart": Scenario(
        "restart",
        "Chats through the death of the server: half-way it is killed (SIGKILL) and started again.",
        system_tokens=100,
        user=Lengths(60, 0.5, most=400),
        answer=Lengths(16, 0.5, most=120),
        turns=6,
        conversations=8,
        opening=Lengths(500, 0.3, most=2000),
        in_rounds=True,
        kills=True,
    ),
}

AGENTS = frozenset(name for name, scenario in SCENARIOS.items() if scenario.functions)
