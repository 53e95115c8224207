"""What the engine's thread does, over and over: admit, step, tell, keep."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Iterable
from collections.abc import Sequence as Items

import torch

from ..engine_api.report import Finish, FinishReason, TokenDelta, TokenLogprobs
from ..engine_api.request import TokenIds
from ..errors import EngineFailed, NoNextToken, NothingAllowed
from ..kvcache import BlockKey
from .accounting import Accounts
from .admission import Admission
from .drafts.drafter import Drafter
from .drafts.verified import Chosen, chosen_tokens
from .hooks import Account, StepHook
from .memory import Memory
from .model.executor import Executor
from .restorer import Restorer
from .scheduler import Scheduler
from .sequence import Sequence, now
from .share import Share

_log = logging.getLogger(__name__)


class EngineLoop:
    """The running and waiting sequences. Not locked: everything happens on the engine's thread."""

    def __init__(
        self,
        executor: Executor,
        scheduler: Scheduler,
        admission: Admission,
        restorer: Restorer,
        memory: Memory,
        accounts: Accounts,
        hook: StepHook,
        drafter: Drafter,
    ) -> None:
        self._executor = executor
        self._scheduler = scheduler
        self._admission = admission
        self._restorer = restorer
        self._memory = memory
        self._accounts = accounts
        self._hook = hook
        self._drafter = drafter

    @property
    def has_work(self) -> bool:
        return bool(self._scheduler.plan())

    def enqueue(self, sequence: Sequence) -> None:
        """Take a new sequence in line."""
        self._hook.enqueued(sequence)
        self._scheduler.add(sequence)

    def admit(self) -> None:
        """Let in who fits."""
        while (sequence := self._scheduler.next_waiting) is not None:
            try:
                if not self._admission.fits(sequence):
                    self._hook.give_way()
                plan = self._admission.admit(sequence, [*self._scheduler.running, *self._hook.sequences])
            except Exception as error:
                if self._memory.gave_way(error):
                    continue
                _log.exception("a request could not begin; it is given up")
                self._scheduler.remove(sequence)
                self._fail(sequence, error, f"the model could not begin this request: {error!r}")
                continue
            if plan is None:
                return
            self._scheduler.start(sequence)
            sequence.timeline.admitted = sequence.timeline.ready = now()
            if plan:
                self._restorer.start(sequence, plan)

    def step(self) -> None:
        """One forward pass for everybody who is ready; if there is nobody at all, a piece of what can wait."""
        self._finish_cancelled()
        if self._scheduler.busy:
            self._hook.busy()
        if plan := self._scheduler.plan():
            drafts = self._drafter.drafts(plan)
            self._step([self._share(*planned, drafted) for planned, drafted in zip(plan, drafts, strict=True)])
        elif self.idle_in() == 0.0:
            self._hook.idle()

    def idle_in(self) -> float | None:
        """Seconds of quiet until there is something to do that can wait; None while there is not."""
        return None if self._scheduler.busy else self._hook.idle_in()

    def forget(self, tenant: str, token_ids: TokenIds, keep_tokens: int, done: Callable[[], None]) -> None:
        """Drop the state of these tokens and what would compute it again; `done` is called when all of it is gone."""
        self._memory.forget(tenant, token_ids, keep_tokens, done)
        self._hook.forget(tenant, token_ids, keep_tokens)

    def forget_blocks(self, tenant: str, keys: Collection[BlockKey], done: Callable[[], None]) -> None:
        self._memory.forget_blocks(tenant, keys, done)

    def cancel(self, sequence: Sequence) -> None:
        """Stop a sequence at once, or as soon as its restore is over."""
        if sequence not in self._scheduler:
            return
        sequence.cancelled = True
        if sequence.buffer is None:
            sequence.timeline.admitted = sequence.timeline.ready = now()
        self._finish_cancelled()

    def end(self, error: Exception) -> None:
        """Tell everybody that it is over."""
        for sequence in list(self._scheduler):
            sequence.end(error)

    def _share(self, sequence: Sequence, count: int, drafts: TokenIds) -> Share:
        start = sequence.kv.length
        rows = self._hook.wanted_rows(sequence, start, count + len(drafts))
        return self._share(sequence, count, ()) if rows and drafts else Share(sequence, start, count, rows, drafts)

    def _step(self, shares: Items[Share]) -> None:
        began = now()
        try:
            for share in shares:
                share.sequence.last_scheduled = began
            logits = self._forward(shares)
            forward_seconds = now() - began
            self._accounts.computed(shares, forward_seconds, self._executor.kind)
            ending = [share for share in shares if share.is_last]
            for sequence, chosen in chosen_tokens(ending, self._show(shares, logits)):
                if sequence.request.prewarm:
                    sequence.prewarmed(now())
                    self._finish(sequence, "stop", TokenDelta())
                else:
                    self._tell_all(sequence, chosen)
        except Exception as error:
            _log.exception("a step failed; its sequences are given up")
            for share in shares:
                self._give_up(share.sequence, error)
            return
        self._accounts.stepped(shares, forward_seconds, began)

    def _forward(self, shares: Items[Share]) -> torch.Tensor:
        """Again without idle state if a GPU has no memory left; until it is over, a step has changed nothing."""
        while True:
            try:
                for share in shares:
                    share.sequence.kv.reserve(share.start + share.num_tokens, limit=share.sequence.max_tokens)
                return self._executor.forward([share.work for share in shares])
            except torch.OutOfMemoryError as error:
                if not self._memory.gave_way(error):
                    raise

    def _show(self, shares: Items[Share], logits: torch.Tensor) -> torch.Tensor:
        """Lets the hook see the rows that it wanted; returns those that tokens are chosen from."""
        if not any(share.rows for share in shares):
            return logits
        first, chosen = 0, list[int]()
        for share in shares:
            rows = [*share.more_rows, *share.chosen_rows]
            stop = first + len(rows)
            if share.rows:
                self._hook.logits(share.sequence, [share.start + row for row in rows], logits[first:stop])
            chosen += range(stop - len(share.chosen_rows), stop)
            first = stop
        return logits[chosen]

    def _tell_all(self, sequence: Sequence, chosen: Iterable[Chosen]) -> None:
        try:
            for token_id, logprobs in chosen:
                if self._tell(sequence, token_id, logprobs):
                    return
        except NoNextToken as error:
            self._distrust(sequence)
            self._give_up(sequence, error)
        except NothingAllowed as error:
            self._give_up(sequence, error)

    def _tell(self, sequence: Sequence, token_id: int, logprobs: TokenLogprobs | None) -> bool:
        """Whether that was its last."""
        moment = now()
        self._accounts.token(sequence, moment)
        delta, reason = sequence.accept(token_id, logprobs, moment)
        if reason is None:
            sequence.tell(delta)
        else:
            self._finish(sequence, reason, delta)
        return reason is not None

    def _finish(self, sequence: Sequence, reason: FinishReason, delta: TokenDelta) -> None:
        account = self._hook.finished(sequence, reason, Account(self._accounts.report(sequence)))
        self._accounts.finished(sequence, account.report, reason)
        sequence.end(dataclasses.replace(delta, finish=Finish(reason, account.report)))
        self._leave(sequence)
        if sequence.buffer is not None and account.keeps_state:
            self._memory.keep(sequence)
        sequence.let_go()

    def _finish_cancelled(self) -> None:
        for sequence in list(self._scheduler):
            if sequence.cancelled and not sequence.restoring:
                self._finish(sequence, "cancelled", TokenDelta())

    def _give_up(self, sequence: Sequence, error: Exception) -> None:
        """Nothing of a failed step is kept: its buffers may be half written."""
        if sequence in self._scheduler:
            self._leave(sequence)
            sequence.let_go()
            self._fail(sequence, error, f"the model failed on this request: {error}")

    def _fail(self, sequence: Sequence, error: Exception, message: str) -> None:
        failure = error if isinstance(error, EngineFailed) else EngineFailed(message)
        self._accounts.failed(sequence, failure)
        sequence.end(failure)

    def _distrust(self, sequence: Sequence) -> None:
        """Saved state that may have led to this is not used again, or every further try would end alike."""
        if reused := sequence.prefix.num_tokens:
            self._memory.quarantine(sequence.request.tenant, sequence.request.token_ids[:reused])

    def _leave(self, sequence: Sequence) -> None:
        self._scheduler.remove(sequence)
        sequence.reservation.release()
