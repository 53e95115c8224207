"""When the runner kills the server: half-way through the run, however it is that the run ends."""

import asyncio
import time
from typing import Any

from tests.bench.making import PlainScripts

from warmturn.wire import ReuseMode
from warmturn_bench.load import ClosedLoop
from warmturn_bench.plan import Plan
from warmturn_bench.runner import Runner
from warmturn_bench.sample import Recording, Reply
from warmturn_bench.targets.calls import Tried

TURN_SECONDS = 0.01


class InstantTarget:
    """A server in the same process, and who watches it: there is nothing to see."""

    url = model = "none"
    modes: tuple[ReuseMode, ...] = ("state",)

    async def begin(self, *_: object) -> "InstantTarget":
        return self

    async def say(self, _: object) -> Reply:
        await asyncio.sleep(TURN_SECONDS)
        return Reply("hi", (), time.perf_counter())

    async def prompt_tokens(self, _: str) -> int | None:
        return None

    async def figures(self) -> dict[str, Any] | None:
        return None

    async def try_call(self, *_: object) -> Tried:
        return Tried(called=True, prompt_tokens=None, output_tokens=None)

    async def settle(self) -> None: ...

    async def clean(self) -> None: ...

    async def close(self) -> None: ...

    def segment(self, *_: object) -> None: ...

    def turn(self, _: object) -> None: ...

    def doing(self, _: object) -> None: ...


def run(turns: int, duration: float | None = None, *, kills: bool = True) -> Recording:
    """One conversation, one turn a round."""
    made, target = Recording(), InstantTarget()

    async def restart() -> None: ...

    runner = Runner(target, ("state",), ClosedLoop(1), made, target, 1, restart)
    asyncio.run(runner.run(Plan(PlainScripts(turns), 1, 1, in_rounds=True, kills=kills), duration))
    return made


def turns_before_the_kill(made: Recording) -> int:
    (killed,) = made.kills
    return sum(sample.asked.sent < killed for sample in made.samples)


def test_without_a_duration_it_dies_after_half_of_the_rounds() -> None:
    assert turns_before_the_kill(run(6)) == 3


def test_with_a_duration_it_dies_after_half_of_the_time() -> None:
    made = run(10_000, duration=1.0)
    (kill,) = made.kills
    assert kill >= 0.5
    assert 0 < turns_before_the_kill(made) < len(made.samples)


def test_where_contexts_are_full_before_the_time_is_up_it_dies_all_the_same() -> None:
    made = run(6, duration=600)
    assert (turns_before_the_kill(made), len(made.samples)) == (3, 6)


def test_only_a_plan_that_kills_kills() -> None:
    assert run(4, kills=False).kills == []
