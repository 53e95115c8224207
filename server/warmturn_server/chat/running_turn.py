"""A turn while the engine works on it, from the first token to the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from ..engine_api import Finish, TokenLogprobs
from ..engine_api.engine import Generating
from .context import TurnContext
from .lookback.view import Json, Tokens, lookback_object
from .model import Item, Reply, Turn, TurnRequest, new_item_id, new_turn_id
from .parts import Part, PartDelta, Text, joined
from .reply_parser import ReplyParser
from .transcript.tokenizer import TextTokenizer

Commit = Callable[[Turn, tuple[int, ...]], None]


@dataclass(frozen=True, slots=True)
class ReplyDelta:
    """What a reply says next, and the tokens chosen for it; either may come without the other."""

    parts: tuple[PartDelta, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] = ()

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))


class RunningTurn:
    """Iterate over its deltas, then read `result`: by then the turn is in the log. Always `close` it.

    A turn that is cancelled, fails, or whose client goes away is not committed: the conversation stays as it was.
    """

    def __init__(
        self,
        request: TurnRequest,
        context: TurnContext,
        model_name: str,
        tokenizer: TextTokenizer,
        generation: Generating,
        parser: ReplyParser,
        commit: Commit,
        on_close: Callable[[RunningTurn], None],
    ) -> None:
        self.id = new_turn_id()
        self.item_id = new_item_id()
        self.created_at = int(time.time())
        self.request = request
        self.model_name = model_name
        self.prompt_token_ids = context.transcript.token_ids
        self.output_token_ids: list[int] = []
        self._context = context
        self._tokenizer = tokenizer
        self._generation = generation
        self._parser = parser
        self._commit = commit
        self._on_close = on_close
        self._said: list[PartDelta] = []
        self._result: Turn | None = None
        self._committing: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def result(self) -> Turn:
        if self._result is None:
            raise RuntimeError("the turn is not over")
        return self._result

    async def deltas(self) -> AsyncIterator[ReplyDelta]:
        finish: Finish | None = None
        async for delta in self._generation:
            finish = delta.finish
            parts = self._parser.feed(delta.text) + (self._parser.finish() if finish else [])
            self._said += parts
            self.output_token_ids += delta.token_ids
            yield ReplyDelta(tuple(parts), delta.logprobs)
        if finish is None:
            raise RuntimeError("the engine ended a turn without saying why")
        turn = self._turn(finish)
        if finish.reason != "cancelled":
            await self._commit_turn(turn)
        self._result = turn

    async def lookback(self) -> Json | None:
        """What the reply looked at, once it is in the log; None where that was not asked for or cannot be told."""
        outline, transcript = self._context.outline, self._context.transcript
        looked = await self._generation.lookback()
        if looked is None or outline is None:
            return None
        prompt = Tokens.of(transcript.token_ids, self._context.text, transcript.ends)
        decoded = self._tokenizer.decode_onto(transcript.token_ids, self.output_token_ids)
        output = Tokens.of(self.output_token_ids, *decoded)
        return lookback_object(looked, outline, prompt, output, self.item_id)

    def cancel(self) -> None:
        self._generation.cancel()

    def close(self) -> None:
        """Stop what still runs and let the conversation go, once a commit that has begun is over."""
        if self._closed:
            return
        self._closed = True
        if self._result is None:
            self._generation.cancel()
        if self._committing and not self._committing.done():
            self._committing.add_done_callback(lambda _: self._on_close(self))
        else:
            self._on_close(self)

    async def _commit_turn(self, turn: Turn) -> None:
        """A client that goes away now does not stop the commit: half a commit there is not."""
        self._committing = asyncio.create_task(asyncio.to_thread(self._commit, turn, tuple(self.output_token_ids)))
        try:
            await asyncio.shield(self._committing)
        finally:
            if self._committing.done():  # one that failed knows this frame by its traceback, and would be known by it
                self._committing = None

    def _content(self) -> tuple[Part, ...]:
        """There is always a text, be it empty: clients expect one."""
        parts = joined(self._said)
        return parts if any(isinstance(part, Text) for part in parts) else (*parts, Text(""))

    def _turn(self, finish: Finish) -> Turn:
        answer = Item(self.item_id, "assistant", self._content(), complete=finish.reason == "stop")
        reply = Reply(
            model=self.model_name,
            finish_reason=finish.reason,
            completed_at=int(time.time()),
            output_tokens=len(self.output_token_ids),
            report={**finish.report.as_dict(), **self._context.facts},
            instructions=self.request.instructions,
            echo=self.request.echo,
        )
        return Turn(
            id=self.id,
            parent_id=self._context.parent_id,
            conversation_id=self.request.conversation_id,
            created_at=self.created_at,
            input=self.request.input,
            output=(answer,),
            reply=reply,
            stored=self.request.stored,
            tenant=self.request.tenant,
        )
