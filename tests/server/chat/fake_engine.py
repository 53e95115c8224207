"""An engine without a model: it answers with the ids that the test gives it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import Future

from tests.support.models import IM_END

from warmturn_server.chat import TextTokenizer
from warmturn_server.engine.detokenizer import Detokenizer
from warmturn_server.engine_api import (
    AheadRequest,
    Finish,
    FinishReason,
    GenerationRequest,
    Grammar,
    Located,
    Promised,
    PromiseRequest,
    ReuseMode,
    TokenDelta,
    TurnReport,
)


def report_on(request: GenerationRequest) -> TurnReport:
    return TurnReport(
        reuse=ReuseMode.STATE,
        prompt_tokens=len(request.token_ids),
        cached_tokens=request.known_tokens,
        prefilled_tokens=len(request.token_ids) - request.known_tokens,
        cached_by_tier={},
        queue_ms=0.0,
        restore_ms=0.0,
        prefill_ms=None,
        ttft_ms=None,
        decode_ms_per_token=None,
        recompute_ms=None,
        recompute_ms_ci95=None,
        recompute_source=None,
        saved_ms=None,
        saved_ms_ci95=None,
        miss=None,
    )


class FakeGeneration:
    def __init__(
        self,
        deltas: Sequence[TokenDelta],
        report: TurnReport,
        gate: asyncio.Event,
        failure: Exception | None,
        pauses_after: int | None,
    ) -> None:
        self._failure = failure
        self._pauses_after = pauses_after
        self._stopped = asyncio.Event()
        self._deltas = deltas
        self._report = report
        self._gate = gate
        self.cancelled = False

    async def __aiter__(self) -> AsyncIterator[TokenDelta]:
        for number, delta in enumerate(self._deltas):
            await (self._stopped if number == self._pauses_after else self._gate).wait()
            if self.cancelled:
                yield TokenDelta(finish=Finish("cancelled", self._report))
                return
            yield delta
            if self._failure:
                raise self._failure

    def cancel(self) -> None:
        self.cancelled = True
        self._gate.set()
        self._stopped.set()

    async def lookback(self) -> None:
        return None


class FakeEngine:
    model_name = "fake"
    context_length = 4096
    max_tokens = 4096
    block_size = 8

    def __init__(self, tokenizer: TextTokenizer, marks: Iterable[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._marks = {tokenizer.special_id(mark): mark for mark in marks}
        self.answers: deque[list[int]] = deque()
        self.requests: list[GenerationRequest] = []
        self.generations: list[FakeGeneration] = []
        self.forgotten: list[tuple[int, ...]] = []
        self.prepared: list[AheadRequest] = []
        self.abandoned: list[tuple[str, str]] = []
        self.prefetched: list[tuple[int, ...]] = []
        self.located: Future[Located] | None = Future()
        self.promises: dict[str, PromiseRequest] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        """Raised in the middle of every answer."""
        self.reason: FinishReason = "stop"
        self.pauses_after: int | None = None
        """So many tokens of an answer come; the next ones never do, and it has to be cancelled."""

    def compile(self, grammar: Grammar, tenant: str) -> None: ...

    def submit(self, request: GenerationRequest) -> FakeGeneration:
        self.requests.append(request)
        ids = self.answers.popleft() if self.answers else [*self._tokenizer.encode("fine").token_ids, IM_END]
        detokenizer = Detokenizer(self._tokenizer._backend, ())
        deltas = [
            TokenDelta(detokenizer.add(token_id), (token_id,), mark=self._marks.get(token_id, "")) for token_id in ids
        ]
        deltas.append(TokenDelta(finish=Finish(self.reason, report_on(request))))
        self.generations.append(FakeGeneration(deltas, report_on(request), self.gate, self.failure, self.pauses_after))
        return self.generations[-1]

    def submit_choices(self, requests: Sequence[GenerationRequest]) -> list[FakeGeneration]:
        return [self.submit(request) for request in requests]

    def forget(self, tenant: str, token_ids: Sequence[int], keep_tokens: int = 0) -> None:
        del tenant, keep_tokens
        self.forgotten.append(tuple(token_ids))

    def block_keys(self, tenant: str, token_ids: Sequence[int], keep_tokens: int = 0) -> list[bytes]:
        del tenant
        return [f"key of {token_id}".encode() for token_id in token_ids[keep_tokens:]]

    def forget_blocks(self, tenant: str, keys: Sequence[bytes]) -> None: ...

    async def prefetch(self, tenant: str, token_ids: Sequence[int]) -> Located | None:
        del tenant
        self.prefetched.append(tuple(token_ids))
        if self.located is None:
            return None
        located: asyncio.Future[Located] = asyncio.wrap_future(self.located)
        return await located

    def prepare(self, request: AheadRequest) -> None:
        self.prepared.append(request)

    def abandon(self, tenant: str, follows: str) -> None:
        self.abandoned.append((tenant, follows))

    def promise(self, request: PromiseRequest) -> None:
        self.promises[request.name] = request

    def settle(self, name: str, *, if_saved: bool = False) -> Promised | None:
        del name, if_saved
        return None

    def withdraw(self, name: str) -> None:
        self.promises.pop(name, None)

    def release(self, name: str) -> None:
        self.promises.pop(name, None)

    def release_of(self, owner: str) -> None:
        self.promises = {name: asked for name, asked in self.promises.items() if asked.owner != owner}

    def promised(self, name: str) -> Promised | None:
        del name
        return None

    def responds(self, timeout_seconds: float) -> bool:
        del timeout_seconds
        return self.failure is None

    def stats(self) -> dict[str, object]:
        return {}
