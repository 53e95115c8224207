"""Computes control turns once more while nobody waits for anything, one chunk at a time."""

from __future__ import annotations

import dataclasses
import json
import logging
from dataclasses import dataclass

from ...engine_api.report import ControlMode
from ...engine_api.request import GenerationRequest, ReuseMode, SamplingParams, TokenIds
from ..admission import Admission, Plan
from ..memory import Memory
from ..model.executor import Work
from ..model.runner import ModelRunner
from ..restorer import Restorer
from ..sequence import Sequence, Vocabulary, now
from .control import Controls, ControlTurn
from .logit_sketch import WatchedLogits
from .noise_floor import NoiseFloor
from .verdict import Audit, Replay, Result, Verdict

QUIET_SECONDS = 0.2
_ROUND, _SINGLE = 32, 8
"""When computed again, a prompt goes in rounds of so many tokens, the first of them one by one."""
_SHARE_OF_MEMORY = 4

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Running:
    """A control turn under way, and its present replay."""

    turn: ControlTurn
    audit: Audit
    replay: Replay
    sequence: Sequence
    watch: WatchedLogits
    seconds: float = 0.0


class IdleReplays:
    """Like a sequence of the lowest priority: admitted by the same rules, but never in one step with real work.

    It begins when the machine was quiet for a while, gives way between chunks, and gives its memory back as soon as
    somebody needs it, to begin again later. Every method belongs to the engine's thread.
    """

    def __init__(
        self,
        runner: ModelRunner,
        admission: Admission,
        restorer: Restorer,
        memory: Memory,
        controls: Controls,
        vocabulary: Vocabulary,
        prefill_budget: int,
    ) -> None:
        self.floor = NoiseFloor(runner.dtype)
        self._runner = runner
        self._admission = admission
        self._restorer = restorer
        self._memory = memory
        self._controls = controls
        self._vocabulary = vocabulary
        self._budget = prefill_budget
        self._running: Running | None = None
        self._audit: Audit | None = None
        self._last_busy = 0.0

    @property
    def sequences(self) -> list[Sequence]:
        """What real turns may copy state from."""
        return [self._running.sequence] if self._running else []

    def busy(self) -> None:
        """Real work is there."""
        self._last_busy = now()

    def due_in(self) -> float | None:
        """Seconds of quiet that are still missing; None where there is nothing to do."""
        if (self._running and self._running.sequence.restoring) or not (self._running or self._controls.backlog):
            return None
        return max(self._last_busy + QUIET_SECONDS - now(), 0.0)

    def step(self) -> None:
        """Begin the next replay, or compute one chunk of the present one."""
        try:
            if self._running is None:
                self._begin()
            elif not self._running.sequence.restoring:
                self._compute(self._running)
        except Exception:
            _log.exception("a control turn could not be computed again; it is given up")
            self.abandon()
            self._drop("failed")

    def abandon(self) -> None:
        """Give the memory back at once; the replay begins anew when the machine is idle again."""
        if self._running is not None:
            self._running.sequence.reservation.release()
            self._running = None

    def forget(self, tenant: str, token_ids: TokenIds, reason: str, keep_tokens: int = 0) -> None:
        """Drop control turns that share more than `keep_tokens` with these: deleted, or known to be bad."""
        first = self._controls.backlog[0] if self._controls.backlog else None
        self._controls.forget(tenant, token_ids, reason, keep_tokens)
        if first is not None and first not in self._controls.backlog:
            self.abandon()
            self._audit = None

    def _begin(self) -> None:
        turn = self._controls.backlog[0]
        self._audit = self._audit or self._audit_of(turn)
        replay = self._audit.next
        assert replay is not None, "an audit that needs no replay is over"
        sequence = self._replay(turn, ReuseMode.STATE if replay is Replay.REUSED else ReuseMode.PROMPT)
        plan = self._admit(sequence)
        if plan is None:
            self._drop("memory")
            return
        watch = self._controls.watch(len(turn.request.token_ids))
        self._running = Running(turn, self._audit, replay, sequence, watch)
        if plan:
            self._restorer.start(sequence, plan)

    def _replay(self, turn: ControlTurn, reuse: ReuseMode) -> Sequence:
        """A control turn's tokens as a sequence that is only computed, and tells nobody."""
        request = GenerationRequest(turn.token_ids, SamplingParams(), reuse, turn.request.tenant)
        replay = Sequence(request, 0, self._vocabulary, lambda _: None)
        replay.reuse_limit = turn.cached_tokens
        return replay

    def _audit_of(self, turn: ControlTurn) -> Audit:
        reused = turn.control.mode is ControlMode.SHADOW
        return Audit(turn.control.watch, reused=reused, floor=self.floor, lossless=self._controls.lossless)

    def _admit(self, sequence: Sequence) -> Plan | None:
        """Idle buffers may have to go for it, the least recently used ones, but only few. No network is waited for."""
        pool = self._memory.pool
        if pool.bytes_for(sequence.max_tokens) > pool.budget_bytes // _SHARE_OF_MEMORY:
            return None
        plan = self._admission.admit(sequence, ())
        return None if plan is None else dataclasses.replace(plan, deadline=None)

    def _compute(self, running: Running) -> None:
        sequence = running.sequence
        start, count = sequence.kv.length, self._chunk(running)
        rows = running.watch.rows(start, count)
        began = now()
        sequence.kv.reserve(start + count, limit=sequence.max_tokens)
        logits = self._runner.forward([Work(sequence.kv, sequence.pending(count), wants_logits=False, rows=rows)])
        running.watch.record([start + row for row in rows], logits)
        seconds = now() - began
        self._controls.observer.idle_seconds_used(seconds)
        if start < len(running.turn.request.token_ids):
            running.seconds += seconds
        if not sequence.num_pending:
            self._end(running)

    def _chunk(self, running: Running) -> int:
        """As the turn's prompt would be computed; for the second time, as state comes about: tokens and pieces."""
        start, prompt = running.sequence.kv.length, len(running.turn.request.token_ids)
        if running.replay is not Replay.AGAIN:
            return min(self._budget, (prompt if start < prompt else running.sequence.max_tokens) - start)
        single = start >= prompt or start % _ROUND < _SINGLE
        return 1 if single else min(_ROUND - start % _ROUND, prompt - start)

    def _end(self, running: Running) -> None:
        self.abandon()
        running.audit.take(running.replay, running.watch)
        if running.replay is Replay.SCRATCH:
            control = running.turn.control
            self._controls.observer.turn_recomputed(
                control.mode, running.seconds, control.recompute_seconds, running.turn.reuse_seconds
            )
        if running.audit.next is None:
            self._conclude(running)

    def _conclude(self, running: Running) -> None:
        verdict = running.audit.verdict()
        self._controls.observer.audited(verdict, self.floor.value)
        self._controls.backlog.popleft()
        self._audit = None
        if verdict.result is Result.BREACH:
            self._breached(running.turn, verdict)
        elif running.replay is Replay.REUSED:
            self._memory.keep(running.sequence)

    def _breached(self, turn: ControlTurn, verdict: Verdict) -> None:
        """Saved state gave wrong logits: nothing of it, nor what was computed from it, is used or kept any more.

        Audits run only while no turn does, so none has begun from it and still goes on.
        """
        num_blocks = self._memory.quarantine(turn.request.tenant, turn.token_ids)
        self.forget(turn.request.tenant, turn.token_ids, "quarantined")
        self._controls.observer.quarantined(turn, verdict, num_blocks)
        _log.error("audit breach: %s; report: %s", verdict, json.dumps(turn.report))

    def _drop(self, reason: str) -> None:
        self._controls.observer.control_dropped(reason)
        self._controls.backlog.popleft()
        self._audit = None
