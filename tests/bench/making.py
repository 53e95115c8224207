"""Samples and conversations for tests of the parts that need no server."""

from typing import Any

from warmturn.wire import ReuseMode
from warmturn_bench.result import BenchResult, Circumstances, compare_answers
from warmturn_bench.sample import Asked, Recording, Sample, TierMoment
from warmturn_bench.stats import mode_figures
from warmturn_bench.workload.script import Script, ScriptedTurn

MODES: tuple[ReuseMode, ...] = ("state", "prompt", "nothing")
FACTOR = {"state": 0.0, "prompt": 30.0, "nothing": 40.0}


def sample(mode: ReuseMode, conversation: int, turn: int, ttft_ms: float, **figures: Any) -> Sample:
    """Two seconds after the one before it."""
    second = 2.0 * (10 * conversation + turn)
    known: dict[str, Any] = {"prompt_tokens": 100, "output_tokens": 8, "cached_tokens": 0, "text": "hi", **figures}
    return Sample(Asked(mode, 0, conversation, turn, second, second), ttft_ms, ttft_ms + 50, (5.0, 7.0), **known)


def recording(conversations: int = 6, turns: int = 5) -> Recording:
    """Saved state takes 20 ms to the first text at every turn; the others take longer and longer."""
    made = Recording(warm_up_turns=6, kills=[30.0])
    for conversation in range(conversations):
        for turn in range(turns):
            for mode in MODES:
                reused = 60 if mode == "state" and turn else 0
                tiers = {"resident": reused // 2, "ram": 0, "disk": reused // 2}
                ttft = 20.0 + conversation + FACTOR[mode] * turn
                one = sample(mode, conversation, turn, ttft, cached_tokens=reused, cached_by_tier=tiers, saved_ms=10.0)
                made.samples.append(one)
    made.seconds.update({"state": 10.0, "prompt": 20.0, "nothing": 40.0})
    made.tiers.extend(TierMoment(second, {"resident": 2**20, "disk": 2**18 * second}) for second in range(0, 60, 2))
    return made


def result(made: Recording, **changes: Any) -> BenchResult:
    figures = {
        mode: mode_figures(mode, made.samples, made.seconds[mode], made.skipped[mode], 50.0, seed=1) for mode in MODES
    }
    there = Circumstances(
        command="warmturn bench --seed 1",
        about="Chats.",
        load="closed loop, 2 clients",
        seed=1,
        conversations=6,
        warm_up_turns=6,
        goodput_ttft_ms=50.0,
        answers_end="somewhere",
        server={"model": "tiny", "dtype": "float32"},
        machine={"processor": "a fast one", "cores": 2},
        started="2026-11-24T00:00:00+00:00",
        seconds=70.0,
        kills=1,
    )
    fields: dict[str, Any] = {
        "scenario": "chat",
        "url": "http://127.0.0.1:1",
        "model": "tiny",
        "modes": figures,
        "same_answers": compare_answers(made.samples),
        "exact": True,
        "partial": False,
        "circumstances": there,
    }
    return BenchResult(**{**fields, **changes})


class PlainScripts:
    """Conversation n says "n.0", "n.1", ... and is as long as `turns` says."""

    name, about = "plain", "Nothing special."

    def __init__(self, turns: int = 3, count: int | None = None) -> None:
        self.turns, self.count = turns, count

    def script(self, number: int) -> Script:
        return Script(number, "system", tuple(ScriptedTurn(f"{number}.{n}", 4, 10) for n in range(self.turns)))
