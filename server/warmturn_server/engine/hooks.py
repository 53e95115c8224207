"""Where others look into a turn's way through the engine without the loop knowing them: control turns, look-backs."""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Protocol

import torch

from ..engine_api.report import FinishReason, TurnReport
from ..engine_api.request import TokenIds
from .sequence import Sequence


@dataclass(frozen=True, slots=True)
class Account:
    """A finished turn's report, as its caller gets it. Not `keeps_state`: a hook will have it computed again."""

    report: TurnReport
    keeps_state: bool = True


class StepHook(Protocol):
    """Called by the engine's thread only. What it computes itself it computes in `idle`, a little at a time."""

    def enqueued(self, sequence: Sequence) -> None:
        """A turn is in line; `sequence.from_scratch` may be set."""
        ...

    def wanted_rows(self, sequence: Sequence, start: int, count: int) -> range:
        """Which rows of the chunk of `count` tokens from position `start` on it wants logits of."""
        ...

    def logits(self, sequence: Sequence, positions: Items[int], logits: torch.Tensor) -> None:
        """The wanted rows `[positions, vocabulary]`; the row that the next token is chosen from is among them."""
        ...

    def finished(self, sequence: Sequence, reason: FinishReason, account: Account) -> Account:
        """A turn is over and not told yet; its buffer still holds what was computed."""
        ...

    def busy(self) -> None:
        """Real work is there."""
        ...

    def idle_in(self) -> float | None:
        """Seconds of quiet that are missing until it has something to do in `idle`; None where it has not."""
        ...

    def idle(self) -> None:
        """Do a piece of work that nobody waits for."""
        ...

    def give_way(self) -> None:
        """Somebody needs the memory: give it back at once."""
        ...

    @property
    def sequences(self) -> Items[Sequence]:
        """Its own running sequences; real turns may copy state from them."""
        ...

    def forget(self, tenant: str, token_ids: TokenIds, keep_tokens: int) -> None:
        """Drop what would compute these tokens again."""
        ...


class NoHook:
    """Looks at nothing."""

    def enqueued(self, sequence: Sequence) -> None: ...

    def wanted_rows(self, sequence: Sequence, start: int, count: int) -> range:  # noqa: ARG002
        return range(0)

    def logits(self, sequence: Sequence, positions: Items[int], logits: torch.Tensor) -> None: ...

    def finished(self, sequence: Sequence, reason: FinishReason, account: Account) -> Account:  # noqa: ARG002
        return account

    def busy(self) -> None: ...

    def idle_in(self) -> float | None:
        return None

    def idle(self) -> None: ...

    def give_way(self) -> None: ...

    @property
    def sequences(self) -> Items[Sequence]:
        return ()

    def forget(self, tenant: str, token_ids: TokenIds, keep_tokens: int) -> None: ...


class Hooks:
    """Several as one, asked in order."""

    def __init__(self, *hooks: StepHook) -> None:
        self._hooks = hooks

    def enqueued(self, sequence: Sequence) -> None:
        for hook in self._hooks:
            hook.enqueued(sequence)

    def wanted_rows(self, sequence: Sequence, start: int, count: int) -> range:
        wanted = [rows for hook in self._hooks if (rows := hook.wanted_rows(sequence, start, count))]
        return range(min((rows.start for rows in wanted), default=0), max((rows.stop for rows in wanted), default=0))

    def logits(self, sequence: Sequence, positions: Items[int], logits: torch.Tensor) -> None:
        for hook in self._hooks:
            hook.logits(sequence, positions, logits)

    def finished(self, sequence: Sequence, reason: FinishReason, account: Account) -> Account:
        for hook in self._hooks:
            account = hook.finished(sequence, reason, account)
        return account

    def busy(self) -> None:
        for hook in self._hooks:
            hook.busy()

    def idle_in(self) -> float | None:
        return min((due for hook in self._hooks if (due := hook.idle_in()) is not None), default=None)

    def idle(self) -> None:
        """The first that has something to do."""
        due = next((hook for hook in self._hooks if hook.idle_in() == 0.0), None)
        if due is not None:
            due.idle()

    def give_way(self) -> None:
        for hook in self._hooks:
            hook.give_way()

    @property
    def sequences(self) -> Items[Sequence]:
        return [sequence for hook in self._hooks for sequence in hook.sequences]

    def forget(self, tenant: str, token_ids: TokenIds, keep_tokens: int) -> None:
        for hook in self._hooks:
            hook.forget(tenant, token_ids, keep_tokens)
