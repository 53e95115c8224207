"""One thread that runs the model for everybody: admit, step, tell, save."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from collections.abc import Sequence as Ids
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np
from tokenizers import Tokenizer

from ..errors import EngineFailed, InvalidRequest, Overloaded
from ..kvcache import PrefixCache, PrefixMatch, Restored, Saver
from .admission import Admission
from .cost_model import CostModel
from .detokenizer import Detokenizer
from .generation import Generation
from .model_runner import ModelRunner, Work
from .report import Finish, FinishReason, Generated, TokenDelta, TokenLogprobs, TurnReport
from .request import GenerationRequest, ReuseMode
from .residents import Resident, Residents
from .savings import MeasuredSavings
from .scheduler import Scheduler
from .sequence import Sequence, Sink, now

_RESTORING_THREADS = 2

_log = logging.getLogger(__name__)


class EngineObserver(Protocol):
    """Who keeps count."""

    def token(self, seconds_since_last: float) -> None: ...

    def turn_finished(self, report: TurnReport, num_output_tokens: int, reason: FinishReason) -> None: ...

    def saving_measured(self, seconds: float) -> None: ...

    def restored(self, tier: str, seconds: float, num_tokens: int) -> None: ...

    def step(self, num_sequences: int, num_tokens: int, forward_seconds: float, seconds: float) -> None: ...


class Engine:
    """Continuous batching over saved state.

    Everything that touches sequences happens on the engine's own thread; other threads put calls into its inbox.
    """

    def __init__(
        self,
        runner: ModelRunner,
        tokenizer: Tokenizer,
        eos_token_ids: frozenset[int],
        cache: PrefixCache,
        saver: Saver,
        residents: Residents,
        cost_model: CostModel,
        observer: EngineObserver,
        *,
        prefill_budget: int,
        max_waiting: int,
    ) -> None:
        self.model_name = runner.name
        self.context_length = runner.context_length
        self.eos_token_ids = eos_token_ids
        self.tokenizer_backend = tokenizer
        self.cost_model = cost_model
        self._runner = runner
        self._cache = cache
        self._saver = saver
        self._residents = residents
        self._observer = observer
        self._admission = Admission(runner, cache, residents, cost_model)
        self._scheduler = Scheduler(prefill_budget)
        self._savings = MeasuredSavings()
        self._max_waiting = max_waiting
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._restorers = ThreadPoolExecutor(_RESTORING_THREADS, "warmturn-restorer")
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="warmturn-engine", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """End what still runs, write what is not saved yet, stop."""
        if self._thread.is_alive():
            self._inbox.put(self._stop)
            self._thread.join()
        self._restorers.shutdown()
        self._saver.close()

    def submit(self, request: GenerationRequest) -> Generation:
        """Queue a turn, from a running event loop.

        Raises `ContextLengthExceeded` or `InvalidRequest` if it can never run, `Overloaded` if too many wait.
        """
        generation = Generation(asyncio.get_running_loop())
        sequence = self._accept(request, generation.push)
        generation.on_cancel(partial(self._inbox.put, partial(self._cancel, sequence)))
        return generation

    def generate(self, request: GenerationRequest) -> Generated:
        """Run a turn to its end; for callers without an event loop."""
        deltas: queue.SimpleQueue[TokenDelta | BaseException] = queue.SimpleQueue()
        self._accept(request, deltas.put)
        text, token_ids, logprobs = "", list[int](), list[TokenLogprobs]()
        while True:
            delta = deltas.get()
            if isinstance(delta, BaseException):
                raise delta
            text += delta.text
            token_ids += delta.token_ids
            logprobs += delta.logprobs
            if delta.finish is not None:
                finish = delta.finish
                return Generated(tuple(token_ids), text, finish.reason, finish.report, tuple(logprobs))

    def forget(self, tenant: str, token_ids: Ids[int]) -> None:
        """Drop the saved state of these tokens and of every beginning of them, in memory and in every tier."""
        self._inbox.put(partial(self._residents.forget, tenant, tuple(token_ids)))
        self._saver.forget(tenant, tuple(token_ids))

    def evict_residents(self) -> None:
        """Drop every idle buffer; what was saved of them stays in the tiers."""
        done = threading.Event()
        self._inbox.put(self._residents.clear)
        self._inbox.put(done.set)
        done.wait()

    def flush(self) -> None:
        """Wait until every finished turn's state is saved."""
        done = threading.Event()
        self._inbox.put(done.set)
        done.wait()
        self._saver.flush()

    @property
    def num_running(self) -> int:
        return len(self._scheduler.running)

    @property
    def num_waiting(self) -> int:
        return len(self._scheduler.waiting)

    def stats(self) -> dict[str, object]:
        """What memory and tiers hold now, and what the engine knows about its own speed."""
        residents = self._residents
        tiers: dict[str, object] = {
            "resident": {
                "bytes": residents.reserved_bytes + residents.idle_bytes,
                "budget_bytes": residents.budget_bytes,
                "conversations": len(residents),
            }
        }
        for tier in self._cache.tiers:
            tiers[tier.name] = {
                "bytes": tier.num_bytes,
                "budget_bytes": tier.budget_bytes,
                "blocks": tier.num_blocks,
                "available": tier.available,
                "bytes_per_second": self._cache.bandwidth[tier.name].bytes_per_second,
            }
        return {
            "model": self.model_name,
            "dtype": str(self._runner.dtype).removeprefix("torch."),
            "context_length": self.context_length,
            "kv_bytes_per_token": self._runner.layout.bytes_per_token,
            "running": self.num_running,
            "waiting": self.num_waiting,
            "tiers": tiers,
            "prefill_ms_per_1000_tokens": _ms(self.cost_model.seconds(1000)),
            "estimate_error": self.cost_model.relative_error,
        }

    def _accept(self, request: GenerationRequest, sink: Sink) -> Sequence:
        if not request.token_ids:
            raise InvalidRequest("the prompt is empty")
        if max(request.token_ids) >= self._runner.vocab_size or min(request.token_ids) < 0:
            raise InvalidRequest(f"token ids must be below {self._runner.vocab_size}")
        max_new_tokens = self._admission.max_new_tokens(request)
        if self.num_waiting >= self._max_waiting:
            raise Overloaded(f"{self.num_waiting} requests are waiting already; try again later")
        detokenizer = Detokenizer(self.tokenizer_backend, request.sampling.stop)
        sequence = Sequence(request, max_new_tokens, detokenizer, self.eos_token_ids, sink)
        self._inbox.put(partial(self._enqueue, sequence))
        return sequence

    def _run(self) -> None:
        while not self._stopping:
            self._admit()
            self._read_inbox()
            if step := self._scheduler.plan():
                self._step(step)
        for sequence in list(self._scheduler):
            sequence.sink(Overloaded("the server is shutting down; try again"))

    def _read_inbox(self) -> None:
        """Do what others asked for; wait for it when there is nothing to run."""
        idle = not self._scheduler.plan()
        while idle or not self._inbox.empty():
            self._inbox.get()()
            idle = False

    def _enqueue(self, sequence: Sequence) -> None:
        sequence.turn_in_line = sequence.timeline.arrived
        self._scheduler.waiting.append(sequence)

    def _admit(self) -> None:
        waiting = self._scheduler.waiting
        while waiting:
            sequence = waiting[0]
            try:
                match = self._admission.admit(sequence, self._scheduler.running)
            except Exception as error:
                _log.exception("a request could not begin; it is given up")
                waiting.popleft().sink(EngineFailed(f"the model could not begin this request: {error!r}"))
                continue
            if match is None:
                return
            waiting.popleft()
            sequence.timeline.admitted = sequence.timeline.ready = now()
            self._scheduler.running.append(sequence)
            if match.spans:
                sequence.restoring = True
                self._restorers.submit(self._restore, sequence, match)

    def _restore(self, sequence: Sequence, match: PrefixMatch) -> None:
        """On a restorer's thread: nobody else touches the sequence's buffer meanwhile."""
        try:
            restored = self._cache.restore(match, sequence.request.token_ids, sequence.kv)
        except Exception:
            _log.exception("restoring failed; the rest of the prompt is computed")
            restored = Restored()
        self._inbox.put(partial(self._restored, sequence, restored))

    def _restored(self, sequence: Sequence, restored: Restored) -> None:
        sequence.restoring = False
        sequence.timeline.ready = now()
        sequence.prefix.reason = restored.reason or sequence.prefix.reason
        for tier, num_tokens in restored.tokens_by_tier.items():
            sequence.prefix.tokens_by_tier[tier] = num_tokens
            self._observer.restored(tier, restored.seconds_by_tier[tier], num_tokens)
        if sequence.cancelled:
            self._finish(sequence, "cancelled", TokenDelta())

    def _step(self, step: list[tuple[Sequence, int]]) -> None:
        began = now()
        contexts = [sequence.kv.length for sequence, _ in step]
        work = [Work(s.kv, s.pending(count), count == s.num_pending) for s, count in step]
        try:
            for sequence, count in step:
                sequence.turn_in_line = began
                sequence.kv.reserve(sequence.kv.length + count, limit=sequence.max_tokens)
            logits = self._runner.forward(work)
            forward_seconds = now() - began
            if len(step) == 1 and step[0][1] > 1:
                self.cost_model.observe(step[0][1], contexts[0], forward_seconds)
            done = [sequence for (sequence, _), item in zip(step, work, strict=True) if item.wants_logits]
            best = logits.argmax(dim=-1).tolist()
            for index, sequence in enumerate(done):
                if sequence.sampler.needs_only_best:
                    self._tell(sequence, best[index], None)
                else:
                    self._tell(sequence, *sequence.sampler.sample(logits[index]))
        except Exception as error:
            _log.exception("a step failed; its sequences are given up")
            for sequence, _ in step:
                self._give_up(sequence, error)
            return
        self._observer.step(len(step), sum(count for _, count in step), forward_seconds, now() - began)

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
        report = sequence.report(_ms(self.cost_model.seconds(sequence.num_prompt_tokens)))
        self._observer.turn_finished(report, sequence.num_output_tokens, reason)
        if (saved_seconds := self._savings.pair(sequence.request, report)) is not None:
            self._observer.saving_measured(saved_seconds)
        sequence.sink(TokenDelta(delta.text, delta.token_ids, delta.logprobs, Finish(reason, report)))
        self._scheduler.remove(sequence)
        if sequence.buffer is not None:
            self._admission.release(sequence)
            self._keep(sequence)

    def _keep(self, sequence: Sequence) -> None:
        """Leave a finished turn's state in memory, and have it saved."""
        buffer, request = sequence.kv, sequence.request
        if request.reuse is not ReuseMode.STATE or buffer.length == 0:
            return
        computed = sequence.token_ids[: buffer.length]
        self._saver.save(request.tenant, computed, buffer.snapshot())
        self._residents.keep(Resident(request.tenant, np.asarray(computed, dtype=np.int64), buffer))

    def _cancel(self, sequence: Sequence) -> None:
        if sequence not in self._scheduler.running and sequence not in self._scheduler.waiting:
            return
        sequence.cancelled = True
        if sequence.buffer is None:
            sequence.timeline.admitted = sequence.timeline.ready = now()
        if not sequence.restoring:
            self._finish(sequence, "cancelled", TokenDelta())

    def _give_up(self, sequence: Sequence, error: Exception) -> None:
        """Nothing of a failed step is kept: its buffers may be half written."""
        if sequence in self._scheduler.running:
            self._scheduler.remove(sequence)
            self._admission.release(sequence)
            sequence.sink(EngineFailed(f"the model failed on this request: {error}"))

    def _stop(self) -> None:
        self._stopping = True


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
