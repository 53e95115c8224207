"""What the engine's thread does, over and over: admit, step, tell, keep."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from collections.abc import Sequence as Ids
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np
import torch

from ..engine_api.report import Finish, FinishReason, TokenDelta, TokenLogprobs, TurnReport
from ..engine_api.request import ReuseMode
from ..errors import EngineFailed
from ..kvcache import PrefixCache, Restored, Saver
from ..threads import compute_with
from .admission import Admission, Plan
from .affinity import held_in
from .audit.control import Controls, ControlTurn
from .audit.replays import IdleReplays, NewReplay
from .audit.verdict import Verdict
from .kv_pool import IdleBuffer, KVPool
from .lookback.worker import Lookbacks
from .model.cost_model import CostModel
from .model.runner import ModelRunner, Work
from .sampling.sampler import most_likely
from .savings import MeasuredSavings
from .scheduler import Scheduler
from .sequence import Sequence, now

_RESTORING_THREADS = 4

_log = logging.getLogger(__name__)


class EngineObserver(Protocol):
    """Who keeps count."""

    def token(self, seconds_since_last: float) -> None: ...

    def turn_finished(self, report: TurnReport, num_output_tokens: int, reason: FinishReason) -> None: ...

    def saving_measured(self, seconds: float) -> None: ...

    def conversation_continued(self, held_in: str) -> None: ...

    def restored(self, tier: str, seconds: float) -> None: ...

    def step(self, num_sequences: int, num_tokens: int, forward_seconds: float, seconds: float) -> None:
        """`seconds`: since the last step was over, or since this one began if nothing was to be done before."""


class EngineLoop:
    """The running and waiting sequences. Not locked: every method but `shutdown` belongs to the engine's thread.

    `post` hands a call to that thread; restores, which run beside it, come back that way.
    """

    def __init__(
        self,
        runner: ModelRunner,
        admission: Admission,
        scheduler: Scheduler,
        cache: PrefixCache,
        saver: Saver,
        pool: KVPool,
        cost_model: CostModel,
        observer: EngineObserver,
        controls: Controls,
        new_replay: NewReplay,
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        self._runner = runner
        self._admission = admission
        self._scheduler = scheduler
        self._cache = cache
        self._saver = saver
        self._pool = pool
        self._cost_model = cost_model
        self._observer = observer
        self._post = post
        self._savings = MeasuredSavings()
        self._lookbacks = Lookbacks()
        self._controls = controls
        self._background = IdleReplays(runner, admission, pool, controls, scheduler.prefill_budget, new_replay, self)
        self._step_ended: float | None = None
        """When the last step was over, if the next one follows on it."""
        self._restorers = ThreadPoolExecutor(_RESTORING_THREADS, "warmturn-restorer", compute_with, (1,))

    def shutdown(self) -> None:
        """Wait for restores and look-backs under way; call it when the loop has ended."""
        self._restorers.shutdown()
        self._lookbacks.shutdown()

    @property
    def has_work(self) -> bool:
        return bool(self._scheduler.plan())

    def enqueue(self, sequence: Sequence) -> None:
        """Take a new sequence in line."""
        sequence.last_scheduled = sequence.timeline.arrived
        sequence.control = self._controls.draw(sequence.request)
        self._scheduler.waiting.append(sequence)

    def step(self) -> None:
        """One forward pass for everybody who is ready; a chunk of a control turn if there is nobody at all."""
        if self._scheduler.running or self._scheduler.waiting:
            self._background.busy()
        if step := self._scheduler.plan():
            self._step(step)
        elif self.background_due_in() == 0.0:
            self._background.step()

    def rest(self) -> None:
        """There is nothing to do: the time until the next step is not spent on any."""
        self._step_ended = None

    def prepare(self) -> bool:
        """One thing that makes next turns begin sooner; False when there is none left, or somebody waits already."""
        if self._scheduler.running or self._scheduler.waiting:
            return False
        try:
            return self._pool.make_room_ahead()
        except RuntimeError as error:  # torch's word for no memory, on a CPU too
            _log.warning("no room ahead of the next turn: %s", error)
            return False

    def background_due_in(self) -> float | None:
        """Seconds of quiet until a control turn may be computed again; None while none may."""
        busy = self._scheduler.running or self._scheduler.waiting
        return None if busy else self._background.due_in()

    def forget(self, tenant: str, token_ids: Ids[int], keep_tokens: int) -> None:
        """Drop the idle state of these tokens, and what would compute it again."""
        self._pool.forget(tenant, token_ids, keep_tokens)
        self._background.forget(tenant, token_ids, "deleted", keep_tokens)

    def cancel(self, sequence: Sequence) -> None:
        """Stop a sequence at once, or as soon as its restore is over."""
        if sequence not in self._scheduler.running and sequence not in self._scheduler.waiting:
            return
        sequence.cancelled = True
        if sequence.buffer is None:
            sequence.timeline.admitted = sequence.timeline.ready = now()
        if not sequence.restoring:
            self._finish(sequence, "cancelled", TokenDelta())

    def admit(self) -> None:
        """Let in who fits, first come first."""
        waiting = self._scheduler.waiting
        while waiting:
            sequence = waiting[0]
            try:
                if not self._admission.fits(sequence):
                    self._background.abandon()
                plan = self._admission.admit(sequence, [*self._scheduler.running, *self._background.sequences])
            except Exception as error:
                if self._made_room(error):
                    continue
                _log.exception("a request could not begin; it is given up")
                waiting.popleft().sink(EngineFailed(f"the model could not begin this request: {error!r}"))
                continue
            if plan is None:
                return
            waiting.popleft()
            sequence.timeline.admitted = sequence.timeline.ready = now()
            self._scheduler.running.append(sequence)
            if plan:
                self.start_restore(sequence, plan)

    def start_restore(self, sequence: Sequence, plan: Plan) -> None:
        """Bring blocks into the sequence's buffer, on another thread."""
        sequence.restoring = True
        self._restorers.submit(self._restore, sequence, plan)

    def end(self, error: Exception) -> None:
        """Tell everybody that it is over."""
        for sequence in list(self._scheduler):
            sequence.sink(error)

    def _restore(self, sequence: Sequence, plan: Plan) -> None:
        """On a restorer's thread: nobody else touches the sequence's buffer meanwhile."""
        tenant, ids = sequence.request.tenant, sequence.request.token_ids[: plan.num_tokens]
        restored = Restored()
        try:
            restored = self._cache.restore(plan.match, ids, sequence.kv)
            if plan.deadline is not None:
                remote = self._cache.restore_from_remote(tenant, ids, sequence.kv, plan.deadline)
                restored = restored.followed_by(remote)
        except Exception:
            _log.exception("restoring failed; the rest of the prompt is computed")
        self._post(partial(self._restored, sequence, restored))

    def _restored(self, sequence: Sequence, restored: Restored) -> None:
        sequence.restoring = False
        sequence.timeline.ready = now()
        sequence.prefix.block_miss = restored.block_miss or sequence.prefix.block_miss
        sequence.prefix.restore_seconds = restored.expected_seconds or sequence.prefix.restore_seconds
        for tier, num_tokens in restored.tokens_by_tier.items():
            sequence.prefix.tokens_by_tier[tier] = num_tokens
            self._observer.restored(tier, restored.seconds_by_tier[tier])
        if sequence.cancelled:
            self._finish(sequence, "cancelled", TokenDelta())

    def _step(self, step: list[tuple[Sequence, int]]) -> None:
        began = now()
        contexts = [sequence.kv.length for sequence, _ in step]
        work = [_work(sequence, count) for sequence, count in step]
        try:
            for sequence, _ in step:
                sequence.last_scheduled = began
            logits = self._forward(step, work)
            forward_seconds = now() - began
            if len(step) == 1 and step[0][1] > 1:
                self._cost_model.observe(step[0][1], contexts[0], forward_seconds)
            logits = self._watched(step, work, contexts, logits)
            done = [sequence for (sequence, _), item in zip(step, work, strict=True) if item.wants_logits]
            best = most_likely(logits)
            for index, sequence in enumerate(done):
                if sequence.sampler.settles_for(best[index]):
                    self._tell(sequence, best[index], None)
                else:
                    self._tell(sequence, *sequence.sampler.sample(logits[index]))
        except Exception as error:
            _log.exception("a step failed; its sequences are given up")
            for sequence, _ in step:
                self._give_up(sequence, error)
            return
        since, self._step_ended = self._step_ended or began, now()
        self._observer.step(len(step), sum(count for _, count in step), forward_seconds, self._step_ended - since)

    def _forward(self, step: list[tuple[Sequence, int]], work: list[Work]) -> torch.Tensor:
        """Again without idle state if a GPU has no memory left; until it is over, a step has changed nothing."""
        while True:
            try:
                for sequence, count in step:
                    sequence.kv.reserve(sequence.kv.length + count, limit=sequence.max_tokens)
                return self._runner.forward(work)
            except torch.OutOfMemoryError as error:
                if not self._made_room(error):
                    raise

    def _made_room(self, error: Exception) -> bool:
        """Whether memory was short and idle state could go for it; what it holds is saved."""
        if not isinstance(error, torch.OutOfMemoryError) or not len(self._pool):
            return False
        _log.warning("no memory left on the device; idle state goes, lower --kv-memory: %s", error)
        self._pool.clear()
        return True

    def _watched(
        self, step: list[tuple[Sequence, int]], work: list[Work], starts: list[int], logits: torch.Tensor
    ) -> torch.Tensor:
        """Lets control turns remember their logits; returns those that tokens are chosen from."""
        if not any(sequence.control for sequence, _ in step):
            return logits
        row, chosen = 0, list[int]()
        for (sequence, count), item, start in zip(step, work, starts, strict=True):
            rows = [*item.rows, *([count - 1] if item.wants_logits else [])]
            if sequence.control:
                sequence.control.watch.record([start + r for r in rows], logits[row : row + len(rows)])
            row += len(rows)
            chosen += [row - 1] if item.wants_logits else []
        return logits[chosen]

    def _tell(self, sequence: Sequence, token_id: int, logprobs: TokenLogprobs | None) -> None:
        moment = now()
        if sequence.timeline.first_token is not None:
            self._observer.token(moment - sequence.timeline.last_token)
        delta, reason = sequence.accept(token_id, logprobs, moment)
        if reason is None:
            sequence.sink(delta)
        else:
            self._finish(sequence, reason, delta)

    def _finish(self, sequence: Sequence, reason: FinishReason, delta: TokenDelta) -> None:
        control = None if reason == "cancelled" else self._controls.settle(sequence, self._cost_model)
        report = sequence.report(self._cost_model, control)
        if not sequence.request.recomputes_reply:
            self._count(sequence, report, reason)
        sequence.lookback = self._lookbacks.begin(sequence) if reason != "cancelled" else None
        sequence.sink(TokenDelta(delta.text, delta.token_ids, delta.logprobs, Finish(reason, report)))
        self._scheduler.remove(sequence)
        if sequence.buffer is not None:
            self._admission.release(sequence)
            if not self._controls.finished(sequence, report):
                self.keep(sequence)

    def _count(self, sequence: Sequence, report: TurnReport, reason: FinishReason) -> None:
        self._observer.turn_finished(report, sequence.num_output_tokens, reason)
        if (tier := held_in(sequence.request, report)) is not None:
            self._observer.conversation_continued(tier)
        if (saved_seconds := self._savings.pair(sequence.request, report)) is not None:
            self._observer.saving_measured(saved_seconds)

    def keep(self, sequence: Sequence) -> None:
        """Leave a finished turn's state in memory, and have it saved."""
        buffer, request = sequence.kv, sequence.request
        if request.reuse is not ReuseMode.STATE or buffer.length == 0 or request.recomputes_reply:
            return
        computed = sequence.token_ids[: buffer.length]
        self._saver.save(request.tenant, computed, buffer.snapshot())
        self._pool.keep(IdleBuffer(request.tenant, np.asarray(computed, dtype=np.int64), buffer))

    def breached(self, turn: ControlTurn, verdict: Verdict) -> None:
        """Saved state gave wrong logits: nothing of it, nor what was computed from it, is used or kept any more.

        Audits run only while no turn does, so none has begun from it and still goes on.
        """
        tenant = turn.request.tenant
        num_blocks = self._cache.quarantine(tenant, turn.token_ids)
        related = self._pool.drop_related(tenant, turn.token_ids)
        for chain in (turn.token_ids, *(tuple(ids.tolist()) for ids in related)):
            self._saver.forget(tenant, chain, 0, lambda: None)
        self._background.forget(tenant, turn.token_ids, "quarantined")
        self._controls.observer.quarantined(turn, verdict, num_blocks)
        _log.error("audit breach: %s; report: %s", verdict, json.dumps(turn.report))

    def _give_up(self, sequence: Sequence, error: Exception) -> None:
        """Nothing of a failed step is kept: its buffers may be half written."""
        if sequence in self._scheduler.running:
            self._scheduler.remove(sequence)
            self._admission.release(sequence)
            sequence.sink(EngineFailed(f"the model failed on this request: {error}"))


def _work(sequence: Sequence, count: int) -> Work:
    """A control turn's watched rows come besides the last one, from which the next token is chosen."""
    wants_logits = count == sequence.num_pending
    rows: range = range(0)
    if sequence.control is not None:
        rows = sequence.control.watch.rows(sequence.kv.length, count - wants_logits)
    return Work(sequence.kv, sequence.pending(count), wants_logits, sequence.queries, rows)
