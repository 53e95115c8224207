"""Plays a plan on a target and records what happened."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Protocol

from warmturn.errors import WarmturnError
from warmturn.wire import ReuseMode
from warmturn_bench.load import Load
from warmturn_bench.plan import Part, Plan, Round, mode_order
from warmturn_bench.sample import Asked, Recording, Sample, TierMoment, TurnFailed
from warmturn_bench.targets.target import Dialogue, Target
from warmturn_bench.workload.script import Script

_WARM_UP_TURNS = 2
_LOOK_SECONDS = 0.5
Restart = Callable[[], Awaitable[None]]


class Progress(Protocol):
    def segment(self, round_number: int, mode: ReuseMode) -> None: ...

    def turn(self, sample: Sample) -> None: ...

    def doing(self, what: str) -> None: ...


class Runner:
    """`restart` kills the server and starts it again."""

    def __init__(
        self,
        target: Target,
        modes: Sequence[ReuseMode],
        load: Load,
        recording: Recording,
        progress: Progress,
        seed: int,
        restart: Restart,
    ) -> None:
        self._target = target
        self._modes = modes
        self._load = load
        self._recording = recording
        self._progress = progress
        self._seed = seed
        self._restart = restart
        self._began = time.perf_counter()
        self._dialogues: dict[tuple[int, ReuseMode], Dialogue] = {}
        self._failed: set[tuple[int, ReuseMode]] = set()

    async def run(self, plan: Plan, duration: float | None) -> None:
        """Until the plan is over, or `duration` seconds are and the round under way too: all modes do the same work."""
        await self._warm_up(plan.scripts.script(-1))
        self._began = time.perf_counter()
        first = Random(f"{self._seed} order").randrange(len(self._modes))
        watching = asyncio.create_task(self._watch())
        try:
            for one in plan.rounds():
                if plan.kills and not self._recording.kills and self._is_half_way(one, duration):
                    await self._kill(plan.scripts.script(-2))
                await self._round(one, mode_order(self._modes, first, one.number))
                if duration is not None and self._now() >= duration:
                    break
        finally:
            watching.cancel()
        self._recording.figures = await self._target.figures()

    def _is_half_way(self, one: Round, duration: float | None) -> bool:
        """A run with a duration may end by the clock or because contexts are full: half of whichever comes first."""
        return one.half_way or (duration is not None and self._now() >= duration / 2)

    async def _round(self, one: Round, order: Sequence[ReuseMode]) -> None:
        for mode in order:
            self._progress.segment(one.number, mode)
            began = time.perf_counter()
            try:
                arrivals = Random(f"{self._seed} arrivals {one.number}")
                await self._load.run(one.parts, partial(self._play, mode, one.number), arrivals)
            finally:
                self._recording.seconds[mode] += time.perf_counter() - began

    async def _play(self, mode: ReuseMode, number: int, part: Part, turn: int, due: float) -> None:
        """After a turn that failed its conversation is over: what follows would not be what was to be said."""
        key = (part.script.conversation, mode)
        if key in self._failed:
            self._recording.skipped[mode] += 1
            return
        sent = time.perf_counter()
        asked = Asked(mode, number, part.script.conversation, turn, due - self._began, sent - self._began)
        try:
            dialogue = await self._dialogue(part.script, mode)
            sample = Sample.of(asked, await dialogue.say(part.script.turns[turn]), self._began)
        except TurnFailed as failed:
            sample = Sample(asked, error=failed.kind, error_message=str(failed))
            self._failed.add(key)
        self._recording.samples.append(sample)
        self._progress.turn(sample)

    async def _dialogue(self, script: Script, mode: ReuseMode) -> Dialogue:
        """Begun within the first turn's time: for a user it belongs to it."""
        key = (script.conversation, mode)
        if key not in self._dialogues:
            self._dialogues[key] = await self._target.begin(script, mode)
        return self._dialogues[key]

    async def _warm_up(self, script: Script, turns: int = _WARM_UP_TURNS) -> None:
        """The first turns of a process pay for much that has nothing to do with reuse: no mode shall be the one."""
        self._progress.doing("warming up")
        try:
            for mode in self._modes:
                dialogue = await self._target.begin(script, mode)
                for turn in script.turns[:turns]:
                    await dialogue.say(turn)
                    self._recording.warm_up_turns += 1
        except TurnFailed as failed:
            raise WarmturnError(f"the server failed at the first turn ({failed.kind}): {failed}") from failed

    async def _kill(self, script: Script) -> None:
        self._progress.doing("killed (SIGKILL), restarting")
        self._recording.kills.append(self._now())
        await self._restart()
        await self._warm_up(script, 1)

    async def _watch(self) -> None:
        """Looks every now and then at what the tiers hold, for the picture of it."""
        while True:
            if figures := await self._target.figures():
                self._recording.tiers.append(TierMoment(self._now(), _bytes_by_tier(figures)))
            await asyncio.sleep(_LOOK_SECONDS)

    def _now(self) -> float:
        return time.perf_counter() - self._began


def _bytes_by_tier(figures: dict[str, Any]) -> dict[str, int]:
    tiers = figures.get("tiers") or {}
    return {name: tier["bytes"] for name, tier in tiers.items() if isinstance(tier.get("bytes"), int)}
