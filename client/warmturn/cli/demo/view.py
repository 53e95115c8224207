"""What a person sees of the demo."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from warmturn.cli.console import tell, visible
from warmturn.cli.demo.chart import Series, line_chart
from warmturn.cli.demo.flow import Flow
from warmturn.cli.demo.next_steps import Step
from warmturn.cli.demo.result import DemoResult, DemoTurn, Recall, Restart
from warmturn.format import PALETTE, main_tier, milliseconds, times
from warmturn.report import TurnReport
from warmturn.wire import REUSE_MODES, ReuseMode

_RECOMPUTING: dict[ReuseMode, str] = {
    "prompt": "the same turn once more, prefilling the whole conversation",
    "nothing": "the same turn once more, computing everything again for every token",
}

_CHART_COLUMNS: Final = 56
_BESIDE_THE_CHART: Final = 28
"""Columns for its scale, and for the names of its lines where two end in one place."""


class View:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._flow = Flow(console)

    def introduction(self, model: str, turns: int) -> None:
        self._print(f"{turns} turns with {model}. Every turn is answered three times on the same history:")
        self._print("  state    going on from the saved state, as Warmturn does")
        self._print("  prompt   prefilling the whole conversation, as a stateless server does")
        self._print("  nothing  computing the whole conversation again for every single token")
        self._print("In float32 the three must say the same; what differs is the time to the first text (TTFT).")
        self._print("Where a mode is slow here, only the first tokens of its replies are computed, and compared.")

    def user(self, number: int, text: str) -> None:
        self._print(f"\n{number:2} > {text}", "bold")

    def piece(self, text: str) -> None:
        """Of the answer, as it streams."""
        self._flow.add(visible(text))

    def turn(self, turn: DemoTurn, report: TurnReport, remembered: bool | None) -> None:
        reused = f"{turn.cached_tokens:,} of {turn.prompt_tokens:,} tokens reused"
        tier = main_tier(report)
        first_text = ", ".join(f"{mode} {milliseconds(turn.ttft_ms[mode])}" for mode in ("state", "prompt", "nothing"))
        same = "same tokens" if turn.same_tokens else "DIFFERENT TOKENS"
        recalled = {None: "", True: "remembered", False: "not remembered"}[remembered]
        parts = (f"TTFT {first_text}", f"{reused}{f' ({tier})' if tier else ''}", f"{same}{_cut(turn)}", recalled)
        self._flow.end()
        self._print(f"     {' · '.join(part for part in parts if part)}", "dim")

    def killed(self) -> None:
        self._print("\n     kill -9: the server is gone, and with it everything it had in memory", "bold red")

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        with self._console.status(f"[dim]{what} ..."):
            yield

    @contextmanager
    def recomputing(self, mode: ReuseMode) -> Iterator[None]:
        self._flow.end()
        with self.working(_RECOMPUTING[mode]):
            yield

    def verdict(self, result: DemoResult) -> None:
        self._console.print()
        self._console.print(_table(result.turns))
        self._print("\nTime to first text by turn (median of each turn and two on either side)", "bold")
        room = max(self._console.width - _BESIDE_THE_CHART, 16) if self._console.is_terminal else _CHART_COLUMNS
        for line in line_chart(_series(result), columns=min(room, _CHART_COLUMNS)):
            self._console.print(line, soft_wrap=True)
        self._print("\nPromised", "bold")
        self._sentences(_promised(result))
        broken = list(result.broken_promises())
        for promise in broken:
            self._print(f"BROKEN: {promise}", "bold red")
        if not broken:
            self._print("All promises held.", "bold green")
        self._print("\nReported, and different elsewhere", "bold")
        self._sentences(_reported(result))

    def next_steps(self, steps: Sequence[Step]) -> None:
        self._print("\nWhat next", "bold")
        width = max(len(step.command) for step in steps) + 2
        for step in steps:
            self._print(f"  {step.command:{width}}{step.what_for}")

    def _sentences(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self._print(f"  {sentence}")

    def _print(self, text: str, style: str = "") -> None:
        tell(self._console, text, style)


def _smoothed(turns: Sequence[DemoTurn], mode: ReuseMode) -> list[float]:
    """A lone hiccup of the machine must not squeeze the chart; the table has every figure as it was."""
    times = [turn.ttft_ms[mode] for turn in turns]
    return [median(times[max(i - 2, 0) : i + 3]) for i in range(len(times))]


def _series(result: DemoResult) -> list[Series]:
    """The one on saved state last, so that it lies on top."""
    return [Series(mode, _smoothed(result.turns, mode), PALETTE[mode]) for mode in reversed(REUSE_MODES)]


def _table(turns: Sequence[DemoTurn]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("turn", "tokens", "reused", "state", "prompt", "nothing", "saved", "", "same"):
        table.add_column(heading, justify="right")
    for turn in turns:
        ttft = (f"[{PALETTE[mode]}]{milliseconds(turn.ttft_ms[mode])}" for mode in ("state", "prompt", "nothing"))
        tokens = (str(turn.turn), f"{turn.prompt_tokens:,}", f"{turn.cached_tokens:,}")
        same = "yes" if turn.same_tokens else "[bold red]NO"
        table.add_row(*tokens, *ttft, milliseconds(turn.saved_ms), times(turn.speedup), same)
    return table


def _promised(result: DemoResult) -> Iterator[str]:
    same = sum(turn.same_tokens for turn in result.turns)
    yield f"Same answer: {same} of {len(result.turns)} turns gave the same tokens in all three modes."
    if same < len(result.turns) and not result.same_tokens_promised:
        yield (
            f"That is not promised in {result.dtype}, only in float32: where two tokens are nearly as likely, "
            "rounding decides."
        )
    yield from _left_out(result)
    if result.restart is not None:
        yield _restart(result.restart)
    if result.recall_promised:
        yield _recall(result.recall)


def _cut(turn: DemoTurn) -> str:
    """` (of 48 tokens: the first 13 in prompt, 2 in nothing)`; empty where all were compared."""
    seen = [f"{turn.reply_tokens - left} in {mode}" for mode, left in turn.left_out_tokens.items() if left]
    return f" (of {turn.reply_tokens} tokens: the first {', '.join(seen)})" if seen else ""


def _left_out(result: DemoResult) -> Iterator[str]:
    replies = sum(turn.reply_tokens for turn in result.turns)
    left = {mode: sum(turn.left_out_tokens.get(mode, 0) for turn in result.turns) for mode in REUSE_MODES}
    seen = [f"{replies - tokens:,} in mode {mode}" for mode, tokens in left.items() if tokens]
    if seen:
        yield (
            f"Compared: of {replies:,} reply tokens the first ones of each reply, {' and '.join(seen)}; the others "
            f"would have taken about {_long(result.left_out_seconds)} more."
        )


def _long(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _reported(result: DemoResult) -> Iterator[str]:
    last = result.turns[-1]
    yield (
        f"Last turn, {last.prompt_tokens:,} tokens: first text after {milliseconds(last.ttft_ms['state'])} instead of "
        f"{milliseconds(last.ttft_ms['prompt'])} ({times(last.speedup)})."
    )
    if not result.recall_promised:
        yield _recall(result.recall)
        yield "What a model makes of what it was told is its own, and the same with saved state as without."


def _recall(recall: Recall) -> str:
    return f"Recall: {recall.correct} of {recall.asked} facts were remembered."


def _restart(restart: Restart) -> str:
    found = (
        f"{restart.cached_tokens:,} tokens of state came from {restart.tier}" if restart.tier else "no state was found"
    )
    return f"Restart: killed after turn {restart.after_turn}; in turn {restart.after_turn + 1} {found}."
