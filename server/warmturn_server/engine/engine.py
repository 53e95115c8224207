"""The engine as others see it: turns go in, tokens come out, one thread runs the model for everybody."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from collections.abc import Sequence as Items
from dataclasses import dataclass
from functools import partial

from ..engine_api.grammar import Grammar
from ..engine_api.promise import Promised, PromiseRequest
from ..engine_api.report import Generated, Located, TokenDelta, TokenLogprobs
from ..engine_api.request import AheadRequest, GenerationRequest, SamplingParams, TokenIds
from ..errors import InvalidRequest, Overloaded
from ..kvcache import BlockKey, Carrier
from ..threads import compute_with
from .accounting import Accounts, EngineObserver
from .admission import RESIDENT, Admission
from .ahead.hook import AheadHook
from .audit.control import Controls
from .audit.hook import AuditHook
from .audit.replays import IdleReplays
from .delivery import Generation, Outbox
from .drafts.drafter import Drafter
from .hooks import Hooks, StepHook
from .inbox import Inbox
from .lookback.hook import LookbackHook
from .lookback.worker import Lookbacks
from .loop import EngineLoop
from .memory import Memory
from .model.cost_model import CostModel
from .model.runner import ModelRunner
from .prompt_logprobs import PromptLogprobsHook
from .restorer import Restorer
from .sampling.grammar.grammars import Grammars
from .sampling.processors import LogitsProcessor
from .scheduler import Scheduler
from .sequence import Sequence, Sink, Vocabulary

_FORGETTING_SECONDS = 30.0
_SAVING_SECONDS = 10.0
_SETTLING_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Capacity:
    """`prefill_tokens`: at most so many of prompts in one step; `waiting_turns`: one more is refused."""

    prefill_tokens: int
    waiting_turns: int


class Engine:
    """Continuous batching over saved state.

    Everything that touches sequences happens on the engine's own thread; other threads put calls into its inbox.
    """

    def __init__(
        self,
        runner: ModelRunner,
        vocabulary: Vocabulary,
        memory: Memory,
        cost_model: CostModel,
        observer: EngineObserver,
        controls: Controls,
        capacity: Capacity,
        drafter: Drafter,
    ) -> None:
        self.model_name = runner.name
        self.context_length = runner.context_length
        self.vocabulary = vocabulary
        self.cost_model = cost_model
        self.carrier = Carrier(memory.cache, self._await_saved)
        self._runner = runner
        self._memory = memory
        self._controls = controls
        self._capacity = capacity
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._scheduler = Scheduler(capacity.prefill_tokens, cost_model.step_tokens)
        self._admission = Admission(runner.context_length, memory.cache, memory.pool, cost_model)
        self._grammars = Grammars(vocabulary.tokenizer, runner.vocab_size, vocabulary.eos_token_ids)
        self._lookbacks = Lookbacks()
        self._restorer = Restorer(memory.cache, self._inbox, observer)
        self._accounts = Accounts(cost_model, observer)
        self._ahead = AheadHook(runner, self._admission, self._restorer, memory, vocabulary, cost_model, observer)
        self._loop = EngineLoop(
            runner, self._scheduler, self._admission, self._restorer, memory, self._accounts, self._hook(), drafter
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
        self._restorer.shutdown()
        self._lookbacks.shutdown()
        self._grammars.shutdown()
        self._memory.close()

    def responds(self, timeout_seconds: float) -> bool:
        """Whether its thread is there and gets to what it is asked within so long; from any other thread."""
        reached = threading.Event()
        self._inbox.put(reached.set)
        return self._thread.is_alive() and reached.wait(timeout_seconds)

    def compile(self, grammar: Grammar, tenant: str) -> None:
        """Make ready for an output of this form, from any thread; raises `InvalidRequest` if there is none."""
        self._grammars.compiled(grammar, tenant)

    def submit(self, request: GenerationRequest) -> Generation:
        """Queue a turn, from a running event loop.

        Raises `ContextLengthExceeded` or `InvalidRequest` if it can never run, `Overloaded` if too many wait.
        """
        return self.submit_choices([request])[0]

    def submit_choices(self, requests: Items[GenerationRequest]) -> list[Generation]:
        """Queue several turns of one prompt, which is computed once: the others go on from the first one's state.

        Raises as `submit` does, before any of them is queued.
        """
        generations = [Generation(asyncio.get_running_loop(), self._outbox) for _ in requests]
        sequences = [self._made(request, each.push) for request, each in zip(requests, generations, strict=True)]
        for sequence in sequences[1:]:
            sequence.first = sequences[0]
        self._enqueue(sequences)
        for generation, sequence in zip(generations, sequences, strict=True):
            generation.follow(sequence, partial(self._inbox.put, partial(self._loop.cancel, sequence)))
        return generations

    def generate(self, request: GenerationRequest) -> Generated:
        """Run a turn to its end; for callers without an event loop."""
        deltas: queue.SimpleQueue[TokenDelta | BaseException] = queue.SimpleQueue()
        sequence = self._accept(request, deltas.put)
        text, token_ids, logprobs = "", list[int](), list[TokenLogprobs]()
        while True:
            delta = deltas.get()
            if isinstance(delta, BaseException):
                try:
                    raise delta
                finally:
                    del delta
            text += delta.text
            token_ids += delta.token_ids
            logprobs += delta.logprobs
            if delta.finish is not None:
                finish = delta.finish
                lookback = sequence.lookback.result() if sequence.lookback else None
                return Generated(tuple(token_ids), text, finish.reason, finish.report, tuple(logprobs), lookback)

    def forget(self, tenant: str, token_ids: TokenIds, keep_tokens: int = 0) -> None:
        """Drop the saved state of these tokens and of every beginning of them longer than `keep_tokens`.

        Waits until memory and every tier are rid of it. It goes through the inbox, behind the turn that computed it.
        """
        self._await_forgotten(partial(self._loop.forget, tenant, token_ids, keep_tokens))

    def block_keys(self, tenant: str, token_ids: TokenIds, keep_tokens: int = 0) -> list[bytes]:
        """Names of the state that a turn which saw these tokens leaves behind, beyond `keep_tokens`; they tell nobody
        which tokens those are."""
        return [*self._memory.cache.keys_of(tenant, token_ids, keep_tokens)]

    def forget_blocks(self, tenant: str, keys: Items[bytes]) -> None:
        """Drop the state of these names, as `forget` does it of tokens."""
        self._await_forgotten(partial(self._loop.forget_blocks, tenant, {BlockKey(key) for key in keys}))

    def _await_forgotten(self, forget: Callable[[Callable[[], None]], None]) -> None:
        done = threading.Event()
        self._inbox.put(partial(forget, done.set))
        if not done.wait(_FORGETTING_SECONDS):
            _log.warning("state that was to be forgotten was not removed within %.0f s", _FORGETTING_SECONDS)

    async def prefetch(self, tenant: str, token_ids: TokenIds) -> Located | None:
        """Bring the saved state of these tokens here, in the background; waits no longer than to say where it was.

        None when too much is being brought already.
        """
        asked = self._memory.prefetcher.prefetch(tenant, token_ids)
        if asked is None:
            return None
        located: asyncio.Future[Located] = asyncio.wrap_future(asked)
        return await located

    def prepare(self, request: AheadRequest) -> None:
        """Compute the beginning of an expected prompt while nobody waits for anything; one too long is not begun."""
        if request.token_ids and len(request.token_ids) < self.max_tokens:
            self._inbox.put(partial(self._ahead.ask, request))

    def abandon(self, tenant: str, follows: str) -> None:
        """What was prepared to follow on this will not be asked for."""
        self._inbox.put(partial(self._ahead.abandon, tenant, follows))

    def promise(self, request: PromiseRequest) -> None:
        """State of these tokens is to stay, once it is computed and saved. Raises `PromiseRefused`."""
        self._memory.cache.promise(request)

    def settle(self, name: str, *, if_saved: bool = False) -> Promised | None:
        """Wait until what was computed is saved on this machine; None if what was promised is not all there then."""
        promises, saved = self._memory.cache.promises, threading.Event()
        if if_saved:
            return promises.settle(name) if promises.is_here_already(name) else None
        self._inbox.put(partial(self._memory.saver.after_saving, saved.set))
        if not saved.wait(_SETTLING_SECONDS):
            _log.warning("state that was promised was not saved within %.0f s", _SETTLING_SECONDS)
        return promises.settle(name)

    def withdraw(self, name: str) -> None:
        """Nobody was told of this promise. Harmless once it is settled."""
        self._memory.cache.promises.withdraw(name)

    def release(self, name: str) -> None:
        self._memory.cache.promises.release(name)

    def release_of(self, owner: str) -> None:
        """All promises of a conversation that is deleted."""
        self._memory.cache.promises.release_of(owner)

    def promised(self, name: str) -> Promised | None:
        return self._memory.cache.promises.told(name)

    def evict_idle(self) -> None:
        """Drop every idle buffer; what was saved of them stays in the tiers."""
        done = threading.Event()
        self._inbox.put(self._memory.pool.clear)
        self._inbox.put(done.set)
        done.wait()

    def flush(self) -> None:
        """Wait until every finished turn's state is saved."""
        done = threading.Event()
        self._inbox.put(done.set)
        done.wait()
        self._memory.saver.flush()

    def _await_saved(self) -> None:
        """The same, for who would rather go on without than wait for long."""
        done = threading.Event()
        self._inbox.put(partial(self._memory.saver.after_saving_everywhere, done.set))
        done.wait(_SAVING_SECONDS)

    @property
    def max_tokens(self) -> int:
        return self._admission.max_tokens

    @property
    def block_size(self) -> int:
        return self._memory.cache.block_size

    @property
    def tier_names(self) -> tuple[str, ...]:
        """Where state can be, nearest first."""
        return (RESIDENT, *(tier.name for tier in self._memory.cache.tiers))

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
        pool = self._memory.pool
        tiers: dict[str, object] = {
            "resident": {
                "bytes": pool.reserved_bytes + pool.idle_bytes,
                "budget_bytes": pool.budget_bytes,
                "conversations": len(pool),
            }
        }
        for tier in self._memory.cache.tiers:
            tiers[tier.name] = {
                "bytes": tier.num_bytes,
                "budget_bytes": tier.budget_bytes,
                "blocks": tier.num_blocks,
                "available": tier.available,
                "bytes_per_second": self._memory.cache.policy.bandwidth[tier.name].bytes_per_second,
                **tier.facts,
            }
        return {
            "model": self.model_name,
            "dtype": str(self._runner.dtype).removeprefix("torch."),
            "threads": self._runner.num_threads,
            "executor": self._runner.about(),
            "context_length": self.context_length,
            "kv_bytes_per_token": self._runner.layout.bytes_for(1),
            "running": self.num_running,
            "waiting": self.num_waiting,
            "tiers": tiers,
            "promises": self._memory.cache.promises.snapshot(),
            "prefill_ms_per_1000_tokens": _ms(self.cost_model.seconds(1000)),
            "estimate_error": self.cost_model.relative_error,
        }

    def _hook(self) -> StepHook:
        replays = IdleReplays(
            self._runner,
            self._admission,
            self._restorer,
            self._memory,
            self._controls,
            self.vocabulary,
            self.cost_model,
        )
        audit, lookback = AuditHook(self._controls, replays), LookbackHook(self._lookbacks)
        return Hooks(self._ahead, audit, lookback, PromptLogprobsHook())

    def _accept(self, request: GenerationRequest, sink: Sink) -> Sequence:
        sequence = self._made(request, sink)
        self._enqueue([sequence])
        return sequence

    def _enqueue(self, sequences: Items[Sequence]) -> None:
        if self.num_waiting >= self._capacity.waiting_turns:
            raise Overloaded(f"{self.num_waiting} requests are waiting already; try again later")
        for sequence in sequences:
            self._inbox.put(partial(self._loop.enqueue, sequence))

    def _made(self, request: GenerationRequest, sink: Sink) -> Sequence:
        if not request.token_ids:
            raise InvalidRequest("the prompt is empty")
        if max(request.token_ids) >= self._runner.vocab_size or min(request.token_ids) < 0:
            raise InvalidRequest(f"token ids must be below {self._runner.vocab_size}")
        self._refuse_unknown_ids(request.sampling)
        max_new_tokens = self._admission.max_new_tokens(request)
        if request.sampling.min_tokens > max_new_tokens:
            raise InvalidRequest(
                f"min_tokens must be at most {max_new_tokens}, the limit of output", param="min_tokens"
            )
        return Sequence(request, max_new_tokens, self.vocabulary, sink, self._masks(request))

    def _masks(self, request: GenerationRequest) -> list[LogitsProcessor]:
        grammar = request.sampling.grammar
        return [self._grammars.mask(grammar, request.tenant)] if grammar else []

    def _refuse_unknown_ids(self, sampling: SamplingParams) -> None:
        biased = [token_id for token_id, _ in sampling.logit_bias]
        for param, token_ids in (("logit_bias", biased), ("stop_token_ids", sampling.stop_token_ids)):
            if token_ids and max(token_ids) >= self._runner.vocab_size:
                raise InvalidRequest(f"token ids must be below {self._runner.vocab_size}", param=param)

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
            self._accounts.rest()
            while self._inbox.empty and not self._scheduler.busy and self._memory.grow_ahead():
                pass
            self._inbox.wait(self._loop.idle_in())
        self._inbox.run_all()

    def _stop(self) -> None:
        self._stopping = True


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
