"""One turn from end to end: check, lock, transcribe, generate, commit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Thread

from ..engine_api import SamplingParams
from ..engine_api.engine import Generating, TurnEngine
from ..errors import Conflict, EngineFailed, InvalidRequest, NotFound, WarmturnError
from .ahead import Ahead, AheadOf
from .bare import BarePrompt, BareReplies
from .begun import BegunTurns
from .caching.caching import Caching, Wished
from .caching.pins import Pins
from .calls.calling import Calling
from .choices import Choices, of_choice
from .context import ContextReader, TurnContext
from .conversations import Conversations
from .generation import generation_request
from .history import response_not_found
from .lookback.replay import LookingBack
from .lookback.view import Json
from .model import ConversationId, Item, ItemId, Turn, TurnId, TurnRequest, turn_id_of
from .principal import Principal
from .recent_misses import RecentMisses
from .reply_form import ReplyForms
from .running_turn import RunningTurn
from .running_turns import RunningTurns
from .storage.invalidation import Invalidations, NoPeers
from .storage.locks import ConversationLocks, Lease, LocalLocks
from .storage.store import Append, ConversationStore, LogStatus, StoreCorrupt
from .thinking.parser import Style
from .transcript.prefix_digests import own_prefix_digests, prefix_digests
from .transcript.tokenizer import TextTokenizer
from .transcript.transcript import Transcriber
from .unstored import UnstoredTurns

_KEPT_BYTES_A_CHARACTER = 16
"""At most: as an item, in the record, as token ids, and each twice until the log is tidied up."""


@dataclass(frozen=True, slots=True)
class Peers:
    """What all servers that share a log have in common."""

    locks: ConversationLocks
    invalidations: Invalidations = NoPeers()  # noqa: RUF009 - it has nothing


class ChatService:
    def __init__(
        self,
        store: ConversationStore,
        engine: TurnEngine,
        transcriber: Transcriber,
        peers: Peers | None = None,
        style: Style | None = None,
        ahead: AheadOf = "typing",
        unstored: UnstoredTurns | None = None,
        calling: Calling | None = None,
    ) -> None:
        """`peers`: servers that share the store; None where this one has it to itself.

        `style`: how the model thinks aloud; None where all that it writes is said to the caller. `calling`: how it
        calls functions, if it does.
        """
        self.engine = engine
        self.misses = RecentMisses()
        self._store = store
        self._transcriber = transcriber
        self.style = style
        self.template_refusals = transcriber.tokenizer.template.refusals()
        self.calling = calling
        self._forms = ReplyForms(engine, self.tokenizer, style, calling)
        self._unstored = unstored or UnstoredTurns(ttl_seconds=0)
        limits, form = (engine.context_length, self._unstored, engine.max_tokens), calling.form if calling else None
        self._reader = ContextReader(store, transcriber, *limits, form)
        peers = peers or Peers(LocalLocks())
        self._locks, self._invalidations = peers.locks, peers.invalidations
        self.conversations = Conversations(store, engine, self._locks, self._reader, self.misses, self._invalidations)
        self._caching = Caching(store, engine, self._reader, keeps_unstored=self._unstored.remembers)
        self.pins = Pins(store, engine, self._locks, self._reader)
        self.ahead = Ahead(self._reader, engine, transcriber, ahead, thinks=style is not None)
        self._looking_back = LookingBack(store, engine, transcriber.tokenizer)
        self.running = RunningTurns()
        self.begun = BegunTurns(store, self._locks)

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

    async def log_status(self) -> LogStatus:
        return await asyncio.to_thread(self._store.status)

    async def check(self, timeout_seconds: float) -> None:
        """Raises EngineFailed if turns would not be computed: whoever supervises this server had better restart it."""
        if not await asyncio.to_thread(self.engine.responds, timeout_seconds):
            raise EngineFailed(f"The engine is gone, or did not respond within {timeout_seconds:g} s.")

    async def start(self, request: TurnRequest) -> RunningTurn:
        """Everything that can be refused is refused here, before any of the answer is sent."""
        arrived = time.perf_counter()
        self.running.refuse_when_leaving()
        request = self._forms.with_tools(request)
        if request.conversation_id is None:
            return await self._start(request, arrived, None)
        lease = await self._acquire(request.tenant, request.conversation_id)
        try:
            return await self._start(request, arrived, lease)
        except BaseException:
            self._locks.release(lease)
            raise

    async def _start(self, request: TurnRequest, arrived: float, lease: Lease | None) -> RunningTurn:
        context, sampling, wished = await self._read_soon(request)
        try:
            async with self.begun.marked(request) as marked:
                self.running.refuse_when_leaving()
                generation = self.engine.submit(generation_request(marked, context, sampling, wished, arrived))
                return self._run(marked, context, wished, generation, lease)
        except BaseException:
            self._caching.ended(wished)
            raise

    async def start_choices(self, request: TurnRequest, count: int) -> Choices:
        """Several replies to one prompt that is in no conversation. All that can be refused is refused here.

        What is asked of its saved state is the first one's.
        """
        assert request.conversation_id is None and not request.stored, "of several replies a log keeps none"
        arrived = time.perf_counter()
        self.running.refuse_when_leaving()
        request = self._forms.with_tools(request)
        context, sampling, wished = await self._read_soon(request, count)
        wishes = [wished, *[wished.of_further_choice] * (count - 1)]
        try:
            asked = [
                generation_request(request, context, of_choice(sampling, number), own, arrived)
                for number, own in enumerate(wishes)
            ]
            generations = self.engine.submit_choices(asked)
        except BaseException:
            self._caching.ended(wished)
            raise
        turns = [self._run(request, context, *each, None) for each in zip(wishes, generations, strict=True)]
        for number, turn in enumerate(turns):
            turn.number, turn.choice_of = number, turns[0].id
        return Choices(turns)

    async def _read_soon(self, request: TurnRequest, count: int = 1) -> tuple[TurnContext, SamplingParams, Wished]:
        read = await asyncio.to_thread(self._read, request)
        try:
            self.running.refuse_when_leaving()
            self.running.refuse_too_many(request.principal, count)
        except BaseException:
            self._caching.ended(read[-1])
            raise
        return read

    def _run(
        self,
        request: TurnRequest,
        context: TurnContext,
        wished: Wished,
        generation: Generating,
        lease: Lease | None,
    ) -> RunningTurn:
        turn = RunningTurn(
            request,
            context,
            self.engine.model_name,
            self.tokenizer,
            generation,
            self._forms.parser(request, context.prompt_end),
            commit=partial(self._commit, context, lease, wished),
            on_end=partial(self._ended, lease, wished),
        )
        self.running.add(turn)
        return turn

    def _read(self, request: TurnRequest) -> tuple[TurnContext, SamplingParams, Wished]:
        """What could not be kept at the end is not begun."""
        context = self._reader.read(request)
        if request.cache.prewarm:
            return context, SamplingParams(max_tokens=1), self._caching.begin(request, context)
        if request.stored or context.conversation:
            self._store.refuse_if_full(_KEPT_BYTES_A_CHARACTER * len(context.transcript.fresh_text))
        sampling = self._forms.sampling(request, context)
        return context, sampling, self._caching.begin(request, context)

    async def complete(self, prompts: Sequence[BarePrompt], count: int, principal: Principal) -> BareReplies:
        """`count` replies to each. Everything that can be refused is refused here."""
        self.running.refuse_when_leaving()
        self.running.refuse_too_many(principal, len(prompts) * count)
        for grammar in {prompt.sampling.grammar for prompt in prompts} - {None}:
            assert grammar is not None
            await asyncio.to_thread(self.engine.compile, grammar, principal.tenant)
        return BareReplies(self.engine, prompts, count, principal)

    async def count_input(self, request: TurnRequest) -> int:
        """Tokens of the prompt that the turn would have."""
        context = await asyncio.to_thread(self._reader.read, self._forms.with_tools(request))
        return len(context.transcript.token_ids)

    async def find_items(
        self, tenant: str, item_ids: Sequence[ItemId], conversation_id: ConversationId | None
    ) -> list[Item]:
        """Those of them that are part of a stored reply, or of the conversation."""
        found = await self.conversations.items(tenant, conversation_id) if conversation_id else []
        for item_id in {*item_ids} - {item.id for item in found}:
            turn = await asyncio.to_thread(self._store.turn, tenant, turn_id_of(item_id))
            found += turn.output if turn and turn.stored else ()
        return found

    async def _acquire(self, tenant: str, conversation_id: ConversationId) -> Lease:
        try:
            return await self._locks.acquire(tenant, conversation_id)
        except Conflict:
            await self.running.await_stopped(tenant, conversation_id)
            return await self._locks.acquire(tenant, conversation_id)

    def _commit(
        self, context: TurnContext, lease: Lease | None, wished: Wished, turn: Turn, output_ids: tuple[int, ...]
    ) -> Turn:
        """The turn as it is in the log now; what only computed a prompt is not."""
        turn = self._caching.settled(turn, wished)
        if turn.output:
            self._keep(context, lease, turn, output_ids)
        return turn

    def _keep(self, context: TurnContext, lease: Lease | None, turn: Turn, output_ids: tuple[int, ...]) -> None:
        transcript, tenant = context.transcript, turn.tenant
        record = self._transcriber.part(turn.id, context.base_id, transcript, output_ids, tenant)
        inherited = len(transcript.kept_text) if record.base_id else 0
        chain = prefix_digests(context.text[:inherited] + record.text, tenant, record.vocabulary)
        conversation = context.conversation
        if not turn.stored and not conversation:
            self._unstored.remember(record, chain)
        else:
            append = Append(
                turn=turn,
                record=record,
                prefix_digests=own_prefix_digests(chain, inherited),
                conversation=conversation.id if conversation else None,
                expected_version=conversation.version if conversation else 0,
                lease=lease,
            )
            try:
                self._store.append(append)
            except WarmturnError:
                self._forget_soon(tenant, (*transcript.token_ids, *output_ids), transcript.kept_tokens)
                raise
        self.begun.written(tenant, turn.id)
        if lease:
            self._locks.committed(lease)
        self.misses.note(turn)

    def _forget_soon(self, tenant: str, token_ids: tuple[int, ...], keep_tokens: int) -> None:
        """State of a turn that is not in the log after all: nothing that is deleted would take it along."""
        Thread(target=self.engine.forget, args=(tenant, token_ids, keep_tokens), daemon=True).start()

    def _ended(self, lease: Lease | None, wished: Wished, turn: RunningTurn) -> None:
        self.running.ended(turn)
        self._caching.ended(wished)
        self.begun.ended(turn.request.tenant, turn.id, is_wanted=turn.is_to_be_committed)
        if lease:
            self._locks.release(lease)
        self.ahead.reply_given(turn)

    async def typed(self, request: TurnRequest) -> int | None:
        """Prepare for what the user is writing; the number of its tokens, None while a reply is being given."""
        assert request.conversation_id is not None
        if self.running.has(request.tenant, request.conversation_id):
            return None
        return await asyncio.to_thread(self.ahead.typed, request)

    async def response(self, tenant: str, turn_id: TurnId) -> Turn:
        turn = await asyncio.to_thread(self._store.turn, tenant, turn_id)
        if turn is None or not turn.stored:
            raise response_not_found(turn_id)
        return turn

    async def repeated(self, tenant: str, turn_id: TurnId) -> Turn | None:
        """The turn that was made of the same request before, if it came into the log."""
        if running := self.running.get(tenant, turn_id):  # nobody waits for it any more
            await asyncio.wait([running.run])
        return await asyncio.to_thread(self._store.turn, tenant, turn_id)

    async def look_back(self, turn: Turn) -> Json | None:
        """What a reply looked at, computed once more; None where it cannot be told."""
        return await self._looking_back.at(turn)

    async def delete_response(self, tenant: str, turn_id: TurnId) -> None:
        was_running = await self._drop_in_background(tenant, turn_id)
        try:
            with suppress(StoreCorrupt):  # what is damaged can still be deleted
                await self.response(tenant, turn_id)
        except NotFound:
            if was_running or await self.begun.forget(tenant, turn_id):
                return
            raise
        self.misses.forget_turn(tenant, turn_id)
        await self.conversations.forget(tenant, await asyncio.to_thread(self._store.withdraw, tenant, turn_id))

    async def _drop_in_background(self, tenant: str, turn_id: TurnId) -> bool:
        turn = self.running.get(tenant, turn_id)
        if turn is None or not turn.request.background:
            return False
        turn.drop()
        await asyncio.wait([turn.run])
        await asyncio.to_thread(self.begun.remove, tenant, turn_id)
        return True

    async def cancel(self, tenant: str, turn_id: TurnId) -> RunningTurn:
        """The turn that was running. Its conversation is free now, and it is in the log if it is to be kept."""
        turn = self.running.get(tenant, turn_id)
        if turn is None:
            await self.begun.find_ended(tenant, turn_id)
            await self.response(tenant, turn_id)
            raise InvalidRequest("The response is complete already; there is nothing to cancel.", code="not_running")
        for choice in self.running.choices_of(turn):
            choice.cancel()
        if turn.is_to_be_committed:
            await turn.ended()
        return turn
