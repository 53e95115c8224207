"""The demo itself: every turn in every reuse mode, and a kill in the middle."""

import time
from collections.abc import Sequence

from warmturn.cli.demo.allowance import MOST_TOKENS, Allowance
from warmturn.cli.demo.measure import Measured, measure
from warmturn.cli.demo.result import DemoResult, DemoTurn, Recall, Restart
from warmturn.cli.demo.script import Line
from warmturn.cli.demo.view import View
from warmturn.client import Client
from warmturn.format import main_tier
from warmturn.own_server import OwnServer
from warmturn.wire import ReuseMode, TurnOptions, figure_at

_ORDERS: tuple[tuple[ReuseMode, ...], ...] = (
    ("state", "prompt", "nothing"),
    ("nothing", "state", "prompt"),
    ("prompt", "nothing", "state"),
)
"""By turn, so that no mode always finds the processor's caches warm."""
_NOTHING_SECONDS = 20.0
"""For mode `nothing`, which takes minutes of a long conversation."""
_WARM_UP_TOKENS = 2


class Demo:
    """`server` is the demo's own, to be killed half-way; None where it belongs to somebody else."""

    def __init__(self, client: Client, script: Sequence[Line], server: OwnServer | None, view: View) -> None:
        self._client = client
        self._script = script
        self._server = server
        self._view = view
        self._conversation = client.conversations.create(metadata={"title": "warmturn demo"}).id
        self._last_response: str | None = None
        self._turns: list[DemoTurn] = []
        self._allowance = Allowance(_NOTHING_SECONDS, len(script))
        self._restart: Restart | None = None

    def run(self, model: str, *, recall_promised: bool) -> DemoResult:
        dtype = figure_at(self._client.stats(), "dtype")
        self._view.introduction(model, len(self._script))
        self._warm_up()
        self._allowance.expect(self._warm_up() / _WARM_UP_TOKENS)
        killed_after = len(self._script) // 2 if self._server is not None else 0
        for number, line in enumerate(self._script, 1):
            measured = self._turn(number, line, _ORDERS[(number - killed_after) % len(_ORDERS)])
            if number == killed_after + 1 and killed_after:
                self._note_restart(killed_after, measured)
            if number == killed_after:
                self._kill_and_restart()
        return DemoResult(model, tuple(self._turns), self._restart, self._recall(), recall_promised, dtype)

    def close(self) -> None:
        self._client.conversations.delete(self._conversation)

    def _turn(self, number: int, line: Line, order: Sequence[ReuseMode]) -> Measured:
        self._view.user(number, line.user)
        asked = self._allowance.tokens()
        measured = {mode: self._measured(line.user, mode, asked) for mode in order}
        self._last_response = measured["state"].turn.id
        turn = self._compared(number, measured, asked)
        self._turns.append(turn)
        self._view.turn(turn, measured["state"].turn.report, line.answered_by(turn.text) if line.asks else None)
        return measured["state"]

    def _measured(self, text: str, mode: ReuseMode, asked_of_nothing: int) -> Measured:
        """The state turn is the one that the conversation keeps; the others answer the same history beside it."""
        if mode == "state":
            return measure(self._client, text, self._view.piece, conversation=self._conversation, reuse=mode)
        options: TurnOptions = {"store": False, "reuse": mode}
        options["max_output_tokens"] = asked_of_nothing if mode == "nothing" else MOST_TOKENS
        if self._last_response is not None:
            options["previous_response_id"] = self._last_response
        with self._view.recomputing(mode):
            return measure(self._client, text, _unseen, **options)

    def _compared(self, number: int, measured: dict[ReuseMode, Measured], asked_of_nothing: int) -> DemoTurn:
        nothing = measured["nothing"]
        self._allowance.spent(nothing.total_ms / 1000, len(nothing.output_ids))
        state = measured["state"].turn
        whole = measured["state"].output_ids
        is_cut = nothing.turn.status == "incomplete" and asked_of_nothing < len(whole)
        compared = whole[: len(nothing.output_ids)] if is_cut else whole  # a cut in mid-character takes all of it
        left_out = len(whole) - len(compared)
        return DemoTurn(
            turn=number,
            prompt_tokens=state.report.prompt_tokens,
            cached_tokens=state.report.cached_tokens,
            prefilled_tokens=state.report.prefilled_tokens,
            ttft_ms={mode: round(measured[mode].ttft_ms, 2) for mode in ("state", "prompt", "nothing")},
            same_tokens=measured["prompt"].output_ids == whole and nothing.output_ids == compared,
            text=state.text,
            left_out_tokens=left_out,
            left_out_ms=1000 * self._allowance.left_out_seconds(left_out),
            wrongly_cached={mode: tokens for mode in ("prompt", "nothing") if (tokens := _cached(measured[mode]))},
            foregone_tokens=(state.report.control and state.report.control.foregone_tokens) or 0,
        )

    def _kill_and_restart(self) -> None:
        assert self._server is not None
        self._view.killed()
        self._server.kill()
        with self._view.working("starting it again on the same folder"):
            self._server.start()
            self._warm_up()

    def _warm_up(self) -> float:
        """The first request of a process pays for much that has nothing to do with reuse: no mode shall be the one.
        Gives the seconds it took.
        """
        began = time.perf_counter()
        self._client.respond("Hello.", store=False, reuse="nothing", max_output_tokens=_WARM_UP_TOKENS)
        return time.perf_counter() - began

    def _note_restart(self, after_turn: int, measured: Measured) -> None:
        report = measured.turn.report
        self._restart = Restart(after_turn, report.cached_tokens, main_tier(report), self._turns[-1].same_tokens)

    def _recall(self) -> Recall:
        asked = [(line, turn.text) for line, turn in zip(self._script, self._turns, strict=True) if line.asks]
        return Recall(len(asked), sum(line.answered_by(text) for line, text in asked))


def _cached(measured: Measured) -> int:
    return measured.turn.report.cached_tokens


def _unseen(_: str) -> None: ...
