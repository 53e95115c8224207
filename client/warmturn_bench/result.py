"""What the load test found: its JSON document, and which promises broke."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from warmturn.wire import ReuseMode
from warmturn_bench.sample import Sample
from warmturn_bench.stats import ModeFigures, Saved, bounds, rounded
from warmturn_bench.verdict import verdict


@dataclass(frozen=True, slots=True)
class SameAnswers:
    """Turns that were answered in several modes on the same history, and how many of them got the same text."""

    compared: int
    same: int


@dataclass(frozen=True, slots=True)
class Circumstances:
    """How the run was made, for whoever wants to repeat or judge it."""

    command: str
    about: str
    load: str
    seed: int
    conversations: int
    warm_up_turns: int
    goodput_ttft_ms: float
    answers_end: str
    server: dict[str, Any] | None
    machine: dict[str, Any]
    started: str
    seconds: float
    kills: int
    was_to_be_killed: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BenchResult:
    """`exact` holds where all modes must say the same: an own server computing in float32."""

    scenario: str
    url: str
    model: str
    modes: dict[ReuseMode, ModeFigures]
    same_answers: SameAnswers | None
    exact: bool
    partial: bool
    circumstances: Circumstances

    @property
    def failed(self) -> bool:
        return any(figures.errors for figures in self.modes.values()) or any(self.broken_promises())

    def broken_promises(self) -> Iterator[str]:
        for mode, figures in self.modes.items():
            if reused := figures.errors_by_kind.get("not recomputed"):
                yield f"turns in mode {mode} that the server was to compute in full and did not: {reused}"
        if self.circumstances.was_to_be_killed and not self.circumstances.kills and not self.partial:
            yield "the server was to be killed half-way, and the run was over before: ask for more turns or time"
        if self.exact and self.same_answers and self.same_answers.same < self.same_answers.compared:
            different = self.same_answers.compared - self.same_answers.same
            yield f"turns on the same history that got different answers in different modes, in float32: {different}"

    @property
    def speedup_ttft(self) -> float | None:
        """How many times sooner the first text comes with saved state than without; medians."""
        if "state" not in self.modes or "prompt" not in self.modes:
            return None
        return _ratio(self.modes["prompt"].ttft_p50, self.modes["state"].ttft_p50)

    @property
    def speedup_throughput(self) -> float | None:
        if "state" not in self.modes or "prompt" not in self.modes:
            return None
        return _ratio(self.modes["state"].output_tokens_per_second, self.modes["prompt"].output_tokens_per_second)

    @property
    def verdict(self) -> str:
        return verdict(self.modes)

    @property
    def _saved(self) -> Saved:
        return self.modes["state"].saved if "state" in self.modes else Saved()

    def as_dict(self) -> dict[str, Any]:
        there = self.circumstances
        return {
            "scenario": self.scenario,
            "url": self.url,
            "model": self.model,
            "modes": {mode: figures.as_dict() for mode, figures in self.modes.items()},
            "speedup": {
                "ttft_p50": rounded(self.speedup_ttft),
                "ttft_mean": rounded(self._saved.times_sooner),
                "ttft_mean_ci95": bounds(self._saved.times_interval),
                "output_tokens_per_second": rounded(self.speedup_throughput),
            },
            "verdict": self.verdict,
            "same_answers": self.same_answers
            and {"compared": self.same_answers.compared, "same": self.same_answers.same, "promised": self.exact},
            "broken_promises": list(self.broken_promises()),
            "partial": self.partial,
            "run": {
                "command": there.command,
                "load": there.load,
                "seed": there.seed,
                "conversations": there.conversations,
                "warm_up_turns_not_counted": there.warm_up_turns,
                "goodput_ttft_ms": there.goodput_ttft_ms,
                "answers_end": there.answers_end,
                "server_killed": there.kills,
                "server": there.server,
                "machine": there.machine,
                "started": there.started,
                "seconds": rounded(there.seconds),
                "notes": list(there.notes),
            },
        }


def compare_answers(samples: Sequence[Sample]) -> SameAnswers | None:
    """Turn by turn, up to the first one of a conversation that got different answers: then histories differ."""
    texts: dict[int, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        if sample.error is None:
            texts[sample.asked.conversation][sample.asked.turn].append(sample.text)
    compared = same = 0
    for turns in texts.values():
        for _, answers in sorted(turns.items()):
            if len(answers) > 1:
                compared += 1
                if len(set(answers)) > 1:
                    break
                same += 1
    return SameAnswers(compared, same) if compared else None


def _ratio(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None
