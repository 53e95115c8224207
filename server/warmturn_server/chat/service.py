"""One turn from end to end: check, lock, transcribe, generate, commit."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import Final

from ..engine_api import GenerationRequest
from ..engine_api.engine import TurnEngine
from ..errors import Conflict, InvalidRequest, NotFound, Overloaded
from .context import ContextReader, TurnContext
from .conversations import Conversations
from .lookback.replay import LookingBack
from .lookback.view import Json
from .model import ConversationId, Turn, TurnId, TurnRequest
from .principal import Principal
from .recent_misses import RecentMisses
from .reply_parser import NewReplyParser, TextOnly
from .running_turn import RunningTurn
from .storage.invalidation import Invalidations, NoPeers
from .storage.locks import ConversationLocks, Lease, LocalLocks
from .storage.store import Append, ConversationStore, LogStatus, StoreCorrupt
from .transcript.prefix_digests import own_prefix_digests, prefix_digests
from .transcript.tokenizer import TextTokenizer
from .transcript.transcript import Transcriber
from .unstored import UnstoredTurns

_KEPT_BYTES_A_CHARACTER = 16
"""At most: as an item, in the record, as token ids, and each twice until the log is tidied up."""
_ENDING_SECONDS: Final = 5.0
_STEPS_TO_NOTICE: Final = 8


class ChatService:
    def __init__(
        self,
        store: ConversationStore,
        engine: TurnEngine,
        transcriber: Transcriber,
        locks: ConversationLocks | None = None,
        invalidations: Invalidations | None = None,
        new_parser: NewReplyParser = TextOnly,
        unstored: UnstoredTurns | None = None,
    ) -> None:
        """`locks` and `invalidations`: of all servers that share the store; None where this one has it to itself."""
        self.engine = engine
        self.misses = RecentMisses()
        self._store = store
        self._transcriber = transcriber
        self._new_parser = new_parser
        self._unstored = unstored or UnstoredTurns(ttl_seconds=0)
        self._reader = ContextReader(store, transcriber, engine.context_length, self._unstored, engine.max_tokens)
        self._locks = locks or LocalLocks()
        self._invalidations = invalidations or NoPeers()
        self.conversations = Conversations(store, engine, self._locks, self._reader, self.misses, self._invalidations)
        self._looking_back = LookingBack(store, engine, transcriber.tokenizer)
        self._running: dict[tuple[str, TurnId], RunningTurn] = {}
        self._runs: set[asyncio.Task[None]] = set()
        self._leaving = False

    @property
    def tokenizer(self) -> TextTokenizer:
        return self._transcriber.tokenizer

    def open(self) -> None:
        """Do what other servers emit from now on; the engine has to run."""
        self._invalidations.follow(self.engine.forget_blocks)

    def close(self) -> None:
        """Close the log; everything acknowledged is in it."""
        self._invalidations.close()
        self._locks.close()
        self._store.close()

    @property
    def is_leaving(self) -> bool:
        return self._leaving

    @property
    def num_running(self) -> int:
        return len(self._running)

    def take_no_more(self) -> None:
        """Refuse new turns from now on; those that run go on."""
        self._leaving = True

    async def interrupt_all(self) -> None:
        """End what still runs, each as far as it has come, and wait until that is in the log."""
        for turn in list(self._running.values()):
            turn.interrupt()
        if self._runs:
            await asyncio.wait(self._runs, timeout=_ENDING_SECONDS)

    async def log_status(self) -> LogStatus:
        return await asyncio.to_thread(self._store.status)

    async def start(self, request: TurnRequest) -> RunningTurn:
        """Everything that can be refused is refused here, before any of the answer is sent."""
        arrived = time.perf_counter()
        self._refuse_when_leaving()
        if request.conversation_id is None:
            return await self._start(request, arrived, None)
        lease = await self._acquire(request.tenant, request.conversation_id)
        try:
            return await self._start(request, arrived, lease)
        except BaseException:
            self._locks.release(lease)
            raise

    async def _start(self, request: TurnRequest, arrived: float, lease: Lease | None) -> RunningTurn:
        context = await asyncio.to_thread(self._read, request)
        self._refuse_when_leaving()
        self._refuse_one_too_many(request.principal)
        generation = self.engine.submit(
            GenerationRequest(
                token_ids=context.transcript.token_ids,
                sampling=request.sampling,
                reuse=request.reuse,
                tenant=request.tenant,
                known_tokens=context.known_tokens,
                rewrite=context.rewrite,
                continues=context.continues,
                lookback=context.outline.request() if context.outline else None,
                waited_seconds=time.perf_counter() - arrived,
                lasting=request.stored or context.conversation is not None,
            )
        )
        turn = RunningTurn(
            request,
            context,
            self.engine.model_name,
            self.tokenizer,
            generation,
            self._new_parser(),
            commit=partial(self._commit, context, lease),
            on_end=partial(self._ended, lease),
        )
        self._running[request.tenant, turn.id] = turn
        self._runs.add(turn.run)
        turn.run.add_done_callback(self._runs.discard)
        return turn

    def _read(self, request: TurnRequest) -> TurnContext:
        """What could not be kept at the end is not begun."""
        context = self._reader.read(request)
        if request.stored or context.conversation:
            self._store.refuse_if_full(_KEPT_BYTES_A_CHARACTER * len(context.transcript.fresh_text))
        return context

    async def _acquire(self, tenant: str, conversation_id: ConversationId) -> Lease:
        """A turn that was just stopped may still be being written down; who stopped it need not know."""
        try:
            return await self._locks.acquire(tenant, conversation_id)
        except Conflict:
            await self._noticed()
            ending = [turn.run for turn in self._running.values() if _is_ending(turn, tenant, conversation_id)]
            if ending:
                await asyncio.wait(ending, timeout=_ENDING_SECONDS)
            return await self._locks.acquire(tenant, conversation_id)

    async def _noticed(self) -> None:
        """A connection that was closed before this request came is known to be by now."""
        for _ in range(_STEPS_TO_NOTICE):
            await asyncio.sleep(0)

    def _refuse_when_leaving(self) -> None:
        if self._leaving:
            raise Overloaded("The server is shutting down and takes no more turns; try again.", code="shutting_down")

    def _refuse_one_too_many(self, principal: Principal) -> None:
        most = principal.limits.turns_at_once
        if most is not None and sum(tenant == principal.tenant for tenant, _ in self._running) >= most:
            raise Overloaded(f"{most} of your turns run or wait already; try again later")

    def _commit(self, context: TurnContext, lease: Lease | None, turn: Turn, output_ids: tuple[int, ...]) -> None:
        transcript, tenant = context.transcript, turn.tenant
        record = self._transcriber.part(turn.id, context.base_id, transcript, output_ids, tenant)
        inherited = len(transcript.kept_text) if record.base_id else 0
        chain = prefix_digests(context.text[:inherited] + record.text, tenant, record.vocabulary)
        conversation = context.conversation
        if not turn.stored and not conversation:
            self._unstored.remember(record, chain)
        else:
            self._store.append(
                Append(
                    turn=turn,
                    record=record,
                    prefix_digests=own_prefix_digests(chain, inherited),
                    conversation=conversation.id if conversation else None,
                    expected_version=conversation.version if conversation else 0,
                    lease=lease,
                )
            )
        if lease:
            self._locks.committed(lease)
        self.misses.note(turn)

    def _ended(self, lease: Lease | None, turn: RunningTurn) -> None:
        self._running.pop((turn.request.tenant, turn.id), None)
        if lease:
            self._locks.release(lease)

    async def response(self, tenant: str, turn_id: TurnId) -> Turn:
        turn = await asyncio.to_thread(self._store.turn, tenant, turn_id)
        if turn is None or not turn.stored:
            raise NotFound(f"Response with id '{turn_id}' not found.", code="response_not_found")
        return turn

    async def look_back(self, turn: Turn) -> Json | None:
        """What a reply looked at, computed once more; None where it cannot be told."""
        return await self._looking_back.at(turn)

    async def delete_response(self, tenant: str, turn_id: TurnId) -> None:
        with suppress(StoreCorrupt):  # what is damaged can still be deleted
            await self.response(tenant, turn_id)
        self.misses.forget_turn(tenant, turn_id)
        await self.conversations.forget(tenant, await asyncio.to_thread(self._store.withdraw, tenant, turn_id))

    async def cancel(self, tenant: str, turn_id: TurnId) -> RunningTurn:
        """The turn that was running. Its conversation is free now, and it is in the log if it is to be kept."""
        turn = self._running.get((tenant, turn_id))
        if turn is None:
            await self.response(tenant, turn_id)
            raise InvalidRequest("The response is complete already; there is nothing to cancel.", code="not_running")
        turn.cancel()
        if turn.is_to_be_committed:
            await turn.ended()
        return turn


def _is_ending(turn: RunningTurn, tenant: str, conversation_id: ConversationId) -> bool:
    request = turn.request
    return turn.is_ending and request.tenant == tenant and request.conversation_id == conversation_id
