"""Computes the beginnings of prompts that are expected, a little at a time, while nobody waits for anything."""

from __future__ import annotations

import dataclasses
import logging
from collections import OrderedDict
from typing import Final, Protocol

import numpy as np

from ...engine_api.report import FinishReason
from ...engine_api.request import AheadCause, AheadRequest, GenerationRequest, SamplingParams, TokenIds
from ...kvcache import KVBuffer
from ..admission import Admission
from ..hooks import Account, NoHook
from ..kv_pool import IdleBuffer, common_prefix
from ..memory import Memory
from ..model.cost_model import CostModel
from ..model.executor import Executor, Work
from ..prepared import UNHEARD_SECONDS, Prepared, common, concerns, goes_on
from ..restorer import Restorer
from ..sequence import Sequence, Vocabulary, now

QUIET_SECONDS: Final = 0.05
_CHUNK: Final = 64
"""Tokens at a time: as long as a turn may have to wait that comes meanwhile."""
_ROOM: Final = 64
"""Tokens that a turn finds room for behind what is prepared."""
_MOST_WAITING: Final = 64
_SHARE_OF_MEMORY: Final = 4

_log = logging.getLogger(__name__)


class AheadObserver(Protocol):
    """Who counts what it costs to prepare prompts, and what comes of it."""

    def ahead_begun(self, cause: AheadCause) -> None: ...

    def ahead_computed(self, cause: AheadCause, num_tokens: int, seconds: float) -> None: ...

    def ahead_used(self, cause: AheadCause, num_tokens: int, seconds: float | None) -> None:
        """`seconds`: what the tokens would have taken the turn, as far as that can be told."""
        ...


class AheadHook(NoHook):
    """What it has computed lies in the pool, like any idle buffer: turns go on from it, and it leaves when they need
    room. It is saved nowhere. Of each conversation there is one at most, for its next turn.
    """

    def __init__(
        self,
        executor: Executor,
        admission: Admission,
        restorer: Restorer,
        memory: Memory,
        vocabulary: Vocabulary,
        cost_model: CostModel,
        observer: AheadObserver,
    ) -> None:
        self._executor = executor
        self._admission = admission
        self._restorer = restorer
        self._memory = memory
        self._pool = memory.pool
        self._vocabulary = vocabulary
        self._cost_model = cost_model
        self._observer = observer
        self._waiting: OrderedDict[tuple[str, str], AheadRequest] = OrderedDict()
        self._restoring: tuple[AheadRequest, Sequence] | None = None
        self._last_busy = 0.0

    def ask(self, request: AheadRequest) -> None:
        """Prepare it, in place of what was asked for the same conversation before; the latest comes first."""
        held = self._pool.prepared(*request.key)
        known = [self._waiting.get(request.key), held.prepared.request if held and held.prepared else None]
        if any(other and goes_on(other, request) for other in known):
            return
        self._waiting.pop(request.key, None)
        self._waiting[request.key] = request
        if len(self._waiting) > _MOST_WAITING:
            self._waiting.popitem(last=False)

    def abandon(self, tenant: str, follows: str) -> None:
        """It will not be sent."""
        self._waiting.pop((tenant, follows), None)
        self._pool.drop_prepared(tenant, follows)

    def busy(self) -> None:
        self._last_busy = now()
        self._expire()

    def idle_in(self) -> float | None:
        moment = now()
        due = [max(self._last_busy + QUIET_SECONDS - moment, 0.0)] if self._has_work else []
        typed = (held.asked for held in self._pool.all_prepared if held.request.cause == "typing")
        return min([*due, *(max(asked + UNHEARD_SECONDS - moment, 0.0) for asked in typed)], default=None)

    def idle(self) -> None:
        self._expire()
        if not self._has_work:
            return
        key, request = next(reversed(self._waiting.items()))
        try:
            self._step(request)
        except Exception:
            _log.exception("a prompt could not be prepared; it is given up")
            self._restoring = None
            self.abandon(*key)

    def give_way(self) -> None:
        if self._restoring:
            self._restoring[1].reservation.release()
            self._restoring = None

    def finished(self, sequence: Sequence, reason: FinishReason, account: Account) -> Account:
        """The turn that was expected has come, or another one in its place."""
        request, prefix = sequence.request, sequence.prefix
        if prefix.prepared and reason != "cancelled":
            start, count = prefix.prepared.found_tokens, prefix.ahead_tokens
            seconds = self._cost_model.seconds(count, start)
            self._observer.ahead_used(prefix.prepared.request.cause, count, seconds)
        if request.follows and reason != "cancelled":
            self.abandon(request.tenant, request.follows)
        return account

    def forget(self, tenant: str, token_ids: TokenIds, keep_tokens: int) -> None:
        for key, request in list(self._waiting.items()):
            if request.tenant == tenant and concerns(request, token_ids, keep_tokens):
                del self._waiting[key]

    @property
    def _has_work(self) -> bool:
        return bool(self._waiting) and not (self._restoring and self._restoring[1].restoring)

    def _step(self, request: AheadRequest) -> None:
        if self._restoring:
            (found_for, sequence), self._restoring = self._restoring, None
            self._found(found_for, sequence)
            return
        idle = self._pool.prepared(request.tenant, request.follows)
        if idle is None:
            self._begin(request)
        elif idle.prepared and idle.prepared.request is not request:
            self._change(idle, idle.prepared, request)
        elif len(idle.token_ids) < len(request.token_ids):
            self._compute(idle, request)
        else:
            self._waiting.pop(request.key)
            if request.cause == "reply":  # what was thought is in no prompt again
                kept = common(request.origin, request.token_ids)
                self._memory.leaves_first(request.tenant, request.origin, kept)

    def _begin(self, request: AheadRequest) -> None:
        """Idle buffers may have to go for it, but only few. No network is waited for."""
        asked = GenerationRequest(request.token_ids, SamplingParams(), tenant=request.tenant)
        sequence = Sequence(asked, 0, self._vocabulary, lambda _: None)
        sequence.reuse_limit = len(request.token_ids)
        too_large = self._pool.bytes_for(sequence.max_tokens) > self._pool.budget_bytes // _SHARE_OF_MEMORY
        plan = None if too_large else self._admission.admit(sequence, ())
        if plan is None:
            self._waiting.pop(request.key)
        elif plan := dataclasses.replace(plan, deadline=None):
            self._restoring = request, sequence
            self._restorer.start(sequence, plan)
        else:
            self._found(request, sequence)

    def _found(self, request: AheadRequest, sequence: Sequence) -> None:
        """From here on it lies in the pool. Nobody may want it any more by now."""
        sequence.reservation.release()
        if request.key in self._waiting:
            self._hold(request, sequence.kv, Prepared(request, sequence.kv.length, now()))
            self._observer.ahead_begun(request.cause)

    def _change(self, idle: IdleBuffer, prepared: Prepared, request: AheadRequest) -> None:
        """Keep what survives an edit; where less does than was there before, it is better begun anew."""
        ids = np.asarray(request.token_ids, dtype=np.int64)
        common = idle.buffer.restore_points(common_prefix(idle.token_ids, ids))
        buffer = self._pool.take(idle)
        if common >= prepared.found_tokens:
            buffer.length = common
            self._hold(request, buffer, Prepared(request, prepared.found_tokens, now()))

    def _compute(self, idle: IdleBuffer, request: AheadRequest) -> None:
        start = len(idle.token_ids)
        count = min(_CHUNK, self._cost_model.budget, len(request.token_ids) - start)
        room = len(request.token_ids) + _ROOM
        buffer = self._pool.take(idle)
        if not self._pool.make_room(self._pool.bytes_for(room)):
            self._waiting.pop(request.key)
            return
        buffer.reserve(room, limit=room)
        began = now()
        piece = request.token_ids[start : start + count]
        self._executor.forward([Work(buffer, piece, wants_logits=False)])
        seconds = now() - began
        self._observer.ahead_computed(request.cause, count, seconds)
        if count > 1:
            self._cost_model.observe(count, start, seconds)
        self._hold(request, buffer, idle.prepared)

    def _hold(self, request: AheadRequest, buffer: KVBuffer, prepared: Prepared | None) -> None:
        ids = np.asarray(request.token_ids[: buffer.length], dtype=np.int64)
        self._pool.hold(IdleBuffer(request.tenant, ids, buffer, prepared))

    def _expire(self) -> None:
        moment = now()
        for held in self._pool.all_prepared:
            if held.is_abandoned(moment):
                self.abandon(*held.request.key)
