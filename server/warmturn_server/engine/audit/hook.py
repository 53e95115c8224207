"""Control turns and their audit, as the engine's loop meets them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence as Items
from weakref import WeakKeyDictionary

import torch

from ...engine_api.report import ControlMode, FinishReason
from ...engine_api.request import TokenIds
from ..hooks import Account
from ..sequence import Sequence
from .control import Control, Controls
from .replays import IdleReplays


class AuditHook:
    """Draws control turns, watches their logits, and has them computed once more when nobody waits for anything."""

    def __init__(self, controls: Controls, replays: IdleReplays) -> None:
        self._controls = controls
        self._replays = replays
        self._drawn: WeakKeyDictionary[Sequence, Control] = WeakKeyDictionary()

    def enqueued(self, sequence: Sequence) -> None:
        if sequence.first is None and (control := self._controls.draw(sequence.request)) is not None:
            self._drawn[sequence] = control
            sequence.from_scratch = control.mode is ControlMode.REPLACE

    def wanted_rows(self, sequence: Sequence, start: int, count: int) -> range:
        control = self._drawn.get(sequence)
        if control is None or (sequence.from_scratch and sequence.withheld is None):
            return range(0)
        return control.watch.rows(start, count)

    def logits(self, sequence: Sequence, positions: Items[int], logits: torch.Tensor) -> None:
        if (control := self._drawn.get(sequence)) is not None:
            control.watch.record(positions, logits)

    def finished(self, sequence: Sequence, reason: FinishReason, account: Account) -> Account:
        control = self._drawn.pop(sequence, None)
        if sequence.first is None and self._controls.concern(sequence.request):
            self._controls.reused(account.report)
        if control is None or reason == "cancelled":
            return account
        settled = self._controls.settle(control, sequence)
        if settled is None:
            return account
        report = dataclasses.replace(account.report, control=settled)
        taken = self._controls.take(control, sequence, report)
        keeps_state = not (taken and control.mode is ControlMode.REPLACE)  # or a replay on reused state will keep it
        return Account(report, account.keeps_state and keeps_state)

    def busy(self) -> None:
        self._replays.busy()

    def idle_in(self) -> float | None:
        return self._replays.due_in()

    def idle(self) -> None:
        self._replays.step()

    def give_way(self) -> None:
        self._replays.abandon()

    @property
    def sequences(self) -> Items[Sequence]:
        return self._replays.sequences

    def forget(self, tenant: str, token_ids: TokenIds, keep_tokens: int) -> None:
        self._replays.forget(tenant, token_ids, "deleted", keep_tokens)
