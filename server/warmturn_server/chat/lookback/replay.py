"""What a reply of long ago looked at: its tokens are computed once more on top of the saved state of its prompt."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ...engine_api import MAX_LOOKS, GenerationRequest, Lookback, SamplingParams
from ...engine_api.engine import TurnEngine
from ..model import Item, ItemId, Turn, visible_items
from ..record_finder import RecordFinder
from ..storage.store import ConversationStore
from ..transcript.records import Record
from ..transcript.tokenizer import TextTokenizer
from .attribution import TEMPLATE, Outline
from .view import Json, Tokens, lookback_object


@dataclass(frozen=True, slots=True)
class _Past:
    """A turn as the model saw it: the first `num_prompt_tokens` of the record were its prompt."""

    record: Record
    num_prompt_tokens: int
    outline: Outline

    def request(self, tenant: str) -> GenerationRequest:
        """All but the reply's last token, for nothing was chosen by that one."""
        stop = min(len(self.record) - 1, self.num_prompt_tokens - 1 + MAX_LOOKS)
        return GenerationRequest(
            self.record.token_ids[:stop],
            SamplingParams(max_tokens=1, temperature=0.0),
            tenant=tenant,
            lookback=self.outline.request(recomputes_reply=True),
        )

    def describe(self, lookback: Lookback, turn: Turn) -> Json:
        tokens = Tokens.of(self.record.token_ids, self.record.text, self.record.ends)
        prompt, output = tokens.split(self.num_prompt_tokens)
        return lookback_object(lookback, self.outline, prompt, output, turn.output[0].id)


class LookingBack:
    def __init__(self, store: ConversationStore, engine: TurnEngine, tokenizer: TextTokenizer) -> None:
        self._store = store
        self._engine = engine
        self._tokenizer = tokenizer
        self._records = RecordFinder(store, tokenizer.vocabulary)

    async def at(self, turn: Turn) -> Json | None:
        """None where it cannot be told, as when another tokenizer made the reply. It waits in line like any turn."""
        past = await asyncio.to_thread(self._past, turn)
        if past is None:
            return None
        lookback = await self._replay(past.request(turn.tenant))
        return past.describe(lookback, turn) if lookback else None

    async def _replay(self, request: GenerationRequest) -> Lookback | None:
        generation = self._engine.submit(request)
        try:
            async for _ in generation:
                pass
            return await generation.lookback()
        finally:
            generation.cancel()

    def _past(self, turn: Turn) -> _Past | None:
        record = self._records.of_turn(turn.tenant, turn.id).record
        if turn.reply is None or len(record) <= turn.reply.output_tokens:
            return None
        num_prompt_tokens = len(record) - turn.reply.output_tokens
        outlines = [self._outline(record, num_prompt_tokens, turn, items) for items in self._possible_items(turn)]
        return _Past(record, num_prompt_tokens, min(outlines, key=lambda one: one.of_token.count(TEMPLATE)))

    def _possible_items(self, turn: Turn) -> list[list[Item]]:
        """What the prompt was made of. Whether items were deleted before or after that turn, only its text can tell."""
        *before, _ = self._store.turns(turn.tenant, turn.id)
        conversation = turn.conversation_id and self._store.conversation(turn.tenant, turn.conversation_id)
        hidden = conversation.hidden if conversation else frozenset[ItemId]()
        return [[*visible_items(before, gone), *turn.input] for gone in (frozenset[ItemId](), hidden)]

    def _outline(self, record: Record, num_prompt_tokens: int, turn: Turn, items: list[Item]) -> Outline:
        assert turn.reply is not None, "only replies look"
        text, ends = record.text[: record.text_length(num_prompt_tokens)], record.ends[:num_prompt_tokens]
        return Outline.of(text, ends, turn.reply.instructions, items, self._tokenizer.render)
