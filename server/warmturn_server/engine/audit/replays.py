"""Computes control turns once more while nobody waits for anything, one chunk at a time."""

from __future__ import annotations

import dataclasses
import json
import logging

from ...engine_api.report import ControlMode
from ...engine_api.request import GenerationRequest, ReuseMode, SamplingParams, TokenIds
from ..admission import Admission, Plan
from ..memory import Memory
from ..model.cost_model import CostModel
from ..model.executor import Work
from ..model.runner import ModelRunner
from ..restorer import Restorer
from ..sequence import Sequence, Vocabulary, now
from .control import Controls, ControlTurn
from .noise_floor import Floor, NoiseFloor, NoNoise
from .running import Running
from .verdict import Audit, Replay, Result, Verdict

QUIET_SECONDS = 0.2
_ROUND, _SINGLE = 32, 8
"""When computed again, a prompt goes in rounds of so many tokens, the first of them one by one."""
_SHARE_OF_MEMORY = 4

_log = logging.getLogger(__name__)


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
        cost_model: CostModel,
    ) -> None:
        self.floor: Floor = NoNoise() if runner.exact else NoiseFloor(runner.dtype)
        self._runner = runner
        self._admission = admission
        self._restorer = restorer
        self._memory = memory
        self._controls = controls
        self._vocabulary = vocabulary
        self._cost_model = cost_model
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
        rows = range(0) if running.measures_end else running.watch.rows(start, count)
        began = now()
        sequence.kv.reserve(start + count, limit=sequence.max_tokens)
        logits = self._runner.forward([Work(sequence.kv, sequence.pending(count), wants_logits=False, rows=rows)])
        seconds = now() - began
        running.watch.record([start + row for row in rows], logits)
        self._controls.observer.idle_seconds_used(now() - began)
        if count > 1:
            self._cost_model.observe(count, start, seconds)
        if start < running.num_prompt_tokens:
            running.took(seconds)
        if running.is_over:
            self._end(running)

    def _chunk(self, running: Running) -> int:
        """As the turn's prompt would be computed; for the second time, as state comes about: tokens and pieces."""
        start, prompt = running.sequence.kv.length, running.num_prompt_tokens
        if running.replay is not Replay.AGAIN:
            left = (prompt if start < prompt else running.sequence.max_tokens) - start
            return min(self._cost_model.budget, left)
        single = start >= prompt or start % _ROUND < _SINGLE
        return 1 if single else min(_ROUND - start % _ROUND, prompt - start)

    def _end(self, running: Running) -> None:
        if running.replay is Replay.SCRATCH and not running.measures_end:
            running.measures_end, running.sequence.kv.length = True, running.turn.cached_tokens
            return
        self.abandon()
        running.audit.take(running.replay, running.watch)
        if running.replay is Replay.SCRATCH:
            self._measured(running)
        if running.audit.next is None:
            self._conclude(running)

    def _measured(self, running: Running) -> None:
        """Tell what the turn would have taken either way, both on the machine as it is now, and what was estimated."""
        turn, effort = running.turn, self._cost_model.effort
        end = effort(running.num_prompt_tokens - turn.cached_tokens, turn.cached_tokens)
        spared = self._cost_model.estimate(effort(running.num_prompt_tokens) - end, end, running.end_seconds)
        expected = None if spared is None else running.end_seconds + spared.seconds
        reuse = turn.restore_seconds + running.end_seconds
        self._controls.observer.turn_recomputed(turn.control.mode, running.whole_seconds, expected, reuse)

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
