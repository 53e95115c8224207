"""The engine as others see it: turns go in, tokens come out, one thread runs the model for everybody."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from collections.abc import Sequence as Ids
from functools import partial

from tokenizers import Tokenizer

from ..engine_api import Located
from ..engine_api.report import Generated, TokenDelta, TokenLogprobs
from ..engine_api.request import GenerationRequest, ReuseMode, SamplingParams
from ..errors import InvalidRequest, Overloaded
from ..kvcache import Prefetcher, PrefixCache, Saver
from ..threads import compute_with
from .admission import RESIDENT, Admission
from .audit.control import Controls, ControlTurn
from .delivery import Generation, Outbox
from .detokenizer import Detokenizer
from .kv_pool import KVPool
from .loop import EngineLoop, EngineObserver
from .model.cost_model import CostModel
from .model.runner import ModelRunner
from .scheduler import Scheduler
from .sequence import Sequence, Sink

_FORGETTING_SECONDS = 30.0

_log = logging.getLogger(__name__)


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
        prefetcher: Prefetcher,
        pool: KVPool,
        cost_model: CostModel,
        observer: EngineObserver,
        controls: Controls,
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
        self._prefetcher = prefetcher
        self._pool = pool
        self._admission = Admission(runner, cache, pool, cost_model)
        self._scheduler = Scheduler(prefill_budget)
        self._controls = controls
        self._max_waiting = max_waiting
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._outbox = Outbox()
        self._loop = EngineLoop(
            runner,
            self._admission,
            self._scheduler,
            cache,
            saver,
            pool,
            cost_model,
            observer,
            controls,
            self._replay,
            self._inbox.put,
        )
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
        self._loop.shutdown()
        self._prefetcher.close()
        self._saver.close()
        self._cache.close()

    def submit(self, request: GenerationRequest) -> Generation:
        """Queue a turn, from a running event loop.

        Raises `ContextLengthExceeded` or `InvalidRequest` if it can never run, `Overloaded` if too many wait.
        """
        generation = Generation(asyncio.get_running_loop(), self._outbox)
        sequence = self._accept(request, generation.push)
        generation.follow(sequence, partial(self._inbox.put, partial(self._loop.cancel, sequence)))
        return generation

    def generate(self, request: GenerationRequest) -> Generated:
        """Run a turn to its end; for callers without an event loop."""
        deltas: queue.SimpleQueue[TokenDelta | BaseException] = queue.SimpleQueue()
        sequence = self._accept(request, deltas.put)
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
                lookback = sequence.lookback.result() if sequence.lookback else None
                return Generated(tuple(token_ids), text, finish.reason, finish.report, tuple(logprobs), lookback)

    def forget(self, tenant: str, token_ids: Ids[int], keep_tokens: int = 0) -> None:
        """Drop the saved state of these tokens and of every beginning of them longer than `keep_tokens`.

        Waits until memory and every tier are rid of it. It goes through the inbox, behind the turn that computed it.
        """
        done = threading.Event()
        self._inbox.put(partial(self._loop.forget, tenant, token_ids, keep_tokens))
        self._inbox.put(partial(self._saver.forget, tenant, tuple(token_ids), keep_tokens, done.set))
        if not done.wait(_FORGETTING_SECONDS):
            _log.warning("state of %d tokens was not removed within %.0f s", len(token_ids), _FORGETTING_SECONDS)

    async def prefetch(self, tenant: str, token_ids: Ids[int]) -> Located | None:
        """Bring the saved state of these tokens here, in the background; waits no longer than to say where it was.

        None when too much is being brought already.
        """
        asked = self._prefetcher.prefetch(tenant, token_ids)
        if asked is None:
            return None
        located: asyncio.Future[Located] = asyncio.wrap_future(asked)
        return await located

    def evict_idle(self) -> None:
        """Drop every idle buffer; what was saved of them stays in the tiers."""
        done = threading.Event()
        self._inbox.put(self._pool.clear)
        self._inbox.put(done.set)
        done.wait()

    def flush(self) -> None:
        """Wait until every finished turn's state is saved."""
        done = threading.Event()
        self._inbox.put(done.set)
        done.wait()
        self._saver.flush()

    @property
    def tier_names(self) -> tuple[str, ...]:
        """Where state can be, nearest first."""
        return (RESIDENT, *(tier.name for tier in self._cache.tiers))

    @property
    def num_running(self) -> int:
        return len(self._scheduler.running)

    @property
    def num_waiting(self) -> int:
        return len(self._scheduler.waiting)

    @property
    def num_controls_waiting(self) -> int:
        return len(self._controls.backlog)

    def stats(self) -> dict[str, object]:
        """What memory and tiers hold now, and what the engine knows about its own speed."""
        pool = self._pool
        tiers: dict[str, object] = {
            "resident": {
                "bytes": pool.reserved_bytes + pool.idle_bytes,
                "budget_bytes": pool.budget_bytes,
                "conversations": len(pool),
            }
        }
        for tier in self._cache.tiers:
            tiers[tier.name] = {
                "bytes": tier.num_bytes,
                "budget_bytes": tier.budget_bytes,
                "blocks": tier.num_blocks,
                "available": tier.available,
                "bytes_per_second": self._cache.policy.bandwidth[tier.name].bytes_per_second,
                **tier.facts,
            }
        return {
            "model": self.model_name,
            "dtype": str(self._runner.dtype).removeprefix("torch."),
            "threads": self._runner.num_threads,
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
        self._inbox.put(partial(self._loop.enqueue, sequence))
        return sequence

    def _replay(self, turn: ControlTurn, reuse: ReuseMode) -> Sequence:
        """A control turn's tokens as a sequence that is only computed, and tells nobody."""
        request = GenerationRequest(turn.token_ids, SamplingParams(), reuse, turn.request.tenant)
        detokenizer = Detokenizer(self.tokenizer_backend, ())
        replay = Sequence(request, 0, detokenizer, self.eos_token_ids, lambda _: None)
        replay.reuse_limit = turn.cached_tokens
        return replay

    def _run(self) -> None:
        compute_with(self._runner.num_threads)
        while not self._stopping:
            for act in (self._loop.admit, self._read_inbox, self._loop.step):
                act()
                self._outbox.deliver()
        self._loop.end(Overloaded("the server is shutting down; try again"))
        self._outbox.deliver()

    def _read_inbox(self) -> None:
        """Do what others asked for; wait for it when there is nothing to run."""
        if not self._loop.has_work:
            self._loop.rest()
            while self._inbox.empty() and self._loop.prepare():
                pass
            try:
                self._do(self._inbox.get(timeout=self._loop.background_due_in()))
            except queue.Empty:
                return
        while not self._inbox.empty():
            self._do(self._inbox.get())

    def _do(self, call: Callable[[], None]) -> None:
        """One call that goes wrong must not end the thread that serves everybody."""
        try:
            call()
        except Exception:
            _log.exception("a call to the engine failed")

    def _stop(self) -> None:
        self._stopping = True


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
