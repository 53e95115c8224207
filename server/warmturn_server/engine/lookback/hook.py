"""Look-backs as the engine's loop meets them: one is begun when a turn that asked for it ends."""

from __future__ import annotations

from ...engine_api.report import FinishReason
from ..hooks import Account, NoHook
from ..sequence import Sequence
from .worker import Lookbacks


class LookbackHook(NoHook):
    def __init__(self, lookbacks: Lookbacks) -> None:
        self._lookbacks = lookbacks

    def finished(self, sequence: Sequence, reason: FinishReason, account: Account) -> Account:
        """Its state is read from a snapshot, whatever becomes of the buffer."""
        if reason != "cancelled":
            sequence.lookback = self._lookbacks.begin(sequence)
        return account
