"""What the next turn will begin with is told to the engine before it comes: while the user reads, or types."""

from __future__ import annotations

import asyncio
import logging
from typing import Literal

from ..engine_api import AheadCause, AheadRequest, ReuseMode
from ..engine_api.engine import TurnEngine
from ..errors import WarmturnError
from .context import Beginning, ContextReader
from .model import Item, TurnRequest, new_item_id
from .parts import Text
from .running_turn import RunningTurn
from .transcript.records import Record
from .transcript.transcript import Transcriber

AheadOf = Literal["off", "replies", "typing"]
"""What is prepared for: nothing, replies that a template rewrites, or what is typed as well."""

_log = logging.getLogger(__name__)


class Ahead:
    def __init__(
        self, reader: ContextReader, engine: TurnEngine, transcriber: Transcriber, wanted: AheadOf, *, thinks: bool
    ) -> None:
        """`thinks`: what it wrote and what the template says of it later differ in what it thought."""
        self.takes_typing = wanted == "typing"
        self._reader = reader
        self._engine = engine
        self._transcriber = transcriber
        self._after_replies = wanted != "off" and (thinks or transcriber.tokenizer.template.rewrites)
        self._tasks: set[asyncio.Task[None]] = set()

    def reply_given(self, turn: RunningTurn) -> None:
        """From the event loop, which does not wait for it."""
        request = turn.request
        is_saved = request.reuse is ReuseMode.STATE and not (request.cache.prewarm or request.cache.only_marked)
        is_wanted = is_saved and not turn.number  # which of several choices goes on nobody knows
        if self._after_replies and turn.is_whole and is_wanted and not request.canonical:
            task = asyncio.create_task(asyncio.to_thread(self._prepare_next, turn))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def typed(self, request: TurnRequest) -> int:
        """How many tokens are to be prepared; reads the log and the template, so not on the event loop."""
        beginning = self._reader.typed(request)
        assert request.conversation_id is not None, "only conversations have somebody who types"
        self._prepare(request, beginning, request.conversation_id, "typing")
        return len(beginning.token_ids)

    def _prepare_next(self, turn: RunningTurn) -> None:
        """Only where the template says something else of the reply than the model wrote: else its state is there.

        Who called a function is told its result next, before anybody says anything.
        """
        if any(item.calls for item in turn.result.output):
            return
        try:
            beginning = self._beginning_after(turn)
        except WarmturnError as error:  # it no longer fits, or has no place for another turn
            _log.debug("the turn after %s is not prepared: %s", turn.id, error)
            return
        if beginning.is_rewritten:
            self._prepare(turn.request, beginning, turn.request.conversation_id or turn.id, "reply")

    def _beginning_after(self, turn: RunningTurn) -> Beginning:
        given = turn.context.prompt.items[:-1] if turn.opening else turn.context.prompt.items
        items = [*given, *turn.result.output, Item(new_item_id(), "user", (Text(""),))]
        return self._reader.beginning(turn.request, items, self._record_of(turn))

    def _record_of(self, turn: RunningTurn) -> Record:
        transcript = turn.context.transcript
        part = self._transcriber.part(turn.id, None, transcript, turn.output_token_ids, turn.request.tenant)
        return Record(part.token_ids, part.ends, part.text)

    def _prepare(self, request: TurnRequest, beginning: Beginning, follows: str, cause: AheadCause) -> None:
        self._engine.prepare(
            AheadRequest(beginning.token_ids, follows, cause, origin=beginning.record, tenant=request.tenant)
        )
