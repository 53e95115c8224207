"""The demo itself: every turn in every reuse mode, and a kill in the middle."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

from warmturn.cli.demo.allowance import Allowance
from warmturn.cli.demo.compared import compared
from warmturn.cli.demo.measure import Measured, measure
from warmturn.cli.demo.result import DemoResult, DemoTurn, Recall, Restart
from warmturn.cli.demo.script import Line
from warmturn.cli.demo.view import View
from warmturn.client import Client
from warmturn.format import main_tier
from warmturn.own_server import OwnServer
from warmturn.wire import REUSE_MODES, ReuseMode, TurnOptions, figure_at

_ORDERS: tuple[tuple[ReuseMode, ...], ...] = (
    ("state", "prompt", "nothing"),
    ("nothing", "state", "prompt"),
    ("prompt", "nothing", "state"),
)
"""By turn, so that no mode always finds the processor's caches warm."""
_SECONDS: Final[Mapping[ReuseMode, float]] = {"state": 40.0, "prompt": 16.0, "nothing": 16.0}
"""For all turns of a mode; with two starts of a server the whole is then seen in two minutes."""
_FEWEST_TOKENS: Final[Mapping[ReuseMode, int]] = {"state": 16, "prompt": 4, "nothing": 2}
"""Of a reply, however slow the machine is."""
_WARM_UP_TOKENS: Final = 2


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
        self._allowances = {mode: Allowance(_SECONDS[mode], len(script), _FEWEST_TOKENS[mode]) for mode in REUSE_MODES}
        self._left_out_seconds = 0.0
        self._restart: Restart | None = None

    def run(self, model: str, *, recall_promised: bool) -> DemoResult:
        dtype = figure_at(self._client.stats(), "dtype")
        self._view.introduction(model, len(self._script))
        self._warm_up()
        self._expect(self._warm_up() / _WARM_UP_TOKENS)
        killed_after = len(self._script) // 2 if self._server is not None else 0
        for number, line in enumerate(self._script, 1):
            measured = self._turn(number, line, _ORDERS[(number - killed_after) % len(_ORDERS)])
            if number == killed_after + 1 and killed_after:
                self._note_restart(killed_after, measured)
            if number == killed_after:
                self._kill_and_restart()
        turns, left_out = tuple(self._turns), self._left_out_seconds
        return DemoResult(model, turns, self._restart, self._recall(), recall_promised, dtype, left_out)

    def close(self) -> None:
        self._client.conversations.delete(self._conversation)

    def _turn(self, number: int, line: Line, order: Sequence[ReuseMode]) -> Measured:
        self._view.user(number, line.user)
        asked = self._asked()
        measured = {mode: self._measured(line.user, mode, asked[mode]) for mode in order}
        self._last_response = measured["state"].turn.id
        turn = compared(number, measured, asked)
        self._turns.append(turn)
        self._account(turn, measured)
        self._view.turn(turn, measured["state"].turn.report, line.answered_by(turn.text) if line.asks else None)
        return measured["state"]

    def _expect(self, token_seconds: float) -> None:
        for allowance in self._allowances.values():
            allowance.expect(token_seconds)

    def _asked(self) -> dict[ReuseMode, int]:
        """Of how many tokens the next reply may be: in no mode of more than in `state`."""
        tokens = {mode: allowance.tokens() for mode, allowance in self._allowances.items()}
        return {mode: min(number, tokens["state"]) for mode, number in tokens.items()}

    def _account(self, turn: DemoTurn, measured: Mapping[ReuseMode, Measured]) -> None:
        for mode, allowance in self._allowances.items():
            took = measured[mode]
            allowance.spent(took.ttft_ms / 1000, took.total_ms / 1000, len(took.output_ids))
            self._left_out_seconds += allowance.left_out_seconds(turn.left_out_tokens.get(mode, 0))

    def _measured(self, text: str, mode: ReuseMode, max_tokens: int) -> Measured:
        """The state turn is the one that the conversation keeps; the others answer the same history beside it."""
        options: TurnOptions = {"reuse": mode, "max_output_tokens": max_tokens}
        if mode == "state":
            options["conversation"] = self._conversation
            return measure(self._client, text, self._view.piece, **options)
        options["store"] = False
        if self._last_response is not None:
            options["previous_response_id"] = self._last_response
        with self._view.recomputing(mode):
            return measure(self._client, text, _unseen, **options)

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


def _unseen(_: str) -> None: ...
