"""A turn while the engine works on it, from the first token to the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from enum import Enum, auto

from ..engine_api import Finish, FinishReason
from ..engine_api.engine import Generating
from .context import TurnContext
from .lookback.view import Json, Tokens, lookback_object
from .model import EndReason, Item, Reply, Turn, TurnRequest, item_id_of, new_turn_id
from .parts import Part, Text, ToolCall, joined
from .reply_delta import ReplyDelta
from .reply_parser import ReplyParser
from .transcript.tokenizer import TextTokenizer

Commit = Callable[[Turn, tuple[int, ...]], Turn]
"""Gives the turn back as it is kept."""


class Stop(Enum):
    """How a turn ends that was told to."""

    DROPPED = auto()
    KEPT = auto()
    KEPT_AS_TOLD = auto()
    """Without what nobody took any more."""


class RunningTurn:
    """Goes on by itself, whoever reads: iterate over its deltas, then read `result`; by then the turn is in the log.

    Always `close` it. A turn that is stopped before its end is not committed, and the conversation stays as it was,
    unless the request keeps such turns: then as much of it is as the caller could have seen. One that fails never is.
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
        on_end: Callable[[RunningTurn], None],
    ) -> None:
        """`parser` has taken the prompt's end; `on_end` is called when nothing of it will be committed any more."""
        self.id = request.turn_id or new_turn_id()
        self.item_id = item_id_of(self.id)
        self.created_at = int(time.time())
        self.number = 0
        """Among the choices of its request."""
        self.choice_of = self.id
        """The turn that was asked for: this one, unless it is a further choice."""
        self.request = request
        self.model_name = model_name
        self.prompt_token_ids = context.transcript.token_ids
        self._context = context
        self._tokenizer = tokenizer
        self._generation = generation
        self._parser = parser
        self._commit = commit
        self.opening = request.opening
        """Of the reply, given with the request and no part of the deltas."""
        self._on_end = on_end
        self._said: list[ReplyDelta] = []
        self._num_told = 0
        self._news = asyncio.Event()
        self._stop: Stop | None = None
        self._committing = False
        self._let_go = False
        self._result: Turn | None = None
        self._failure: Exception | None = None
        self.run = asyncio.create_task(self._run())
        """The turn itself. It never raises: `deltas` do."""

    @property
    def result(self) -> Turn:
        if self._result is None:
            raise RuntimeError("the turn is not over")
        return self._result

    @property
    def context(self) -> TurnContext:
        return self._context

    @property
    def has_begun(self) -> bool:
        """Whether there is anything of its reply."""
        return bool(self._said)

    @property
    def is_whole(self) -> bool:
        """Whether it is over, and nobody stopped it."""
        reply = self._result.reply if self._result else None
        return reply is not None and reply.finish_reason in ("stop", "length")

    @property
    def is_written(self) -> bool:
        """Whether it is in the log."""
        reply = self._result.reply if self._result else None
        return reply is not None and reply.finish_reason != "cancelled"

    @property
    def output_token_ids(self) -> list[int]:
        return [token_id for delta in self._said for token_id in delta.token_ids]

    @property
    def is_ending(self) -> bool:
        """Whether it was told to stop."""
        return self._stop is not None

    @property
    def is_to_be_committed(self) -> bool:
        return self._stop is not Stop.DROPPED

    async def deltas(self) -> AsyncIterator[ReplyDelta]:
        """As they come. Raises what the turn failed with."""
        while True:
            while self._num_told < len(self._said):
                self._num_told += 1
                yield self._said[self._num_told - 1]
            if self.run.done():
                break
            self._news.clear()
            await self._news.wait()
        if failure := self._failure:
            try:
                self._failure = None
                raise failure
            finally:
                del failure  # or it would know this frame, and this frame it

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
        """The caller's own wish. Unless such turns are kept, the conversation is free at once."""
        self._end(Stop.KEPT if self.request.keep_stopped else Stop.DROPPED)

    def drop(self) -> None:
        """Nothing of it is wanted, however it was asked for."""
        self._end(Stop.DROPPED)

    async def ended(self) -> None:
        """Waits until it is over. Raises what it failed with."""
        await asyncio.wait([self.run])
        if self._failure:
            raise self._failure

    def interrupt(self) -> None:
        """The server's wish: as much as was said is kept."""
        self._end(Stop.KEPT)

    def close(self) -> None:
        """Nobody reads any more: what was not told is not said, and a turn that still runs stops."""
        if self.run.done() or self._stop or self._committing:
            return
        if self.request.keep_stopped:
            del self._said[self._num_told :]
            self._end(Stop.KEPT_AS_TOLD)
        else:
            self._end(Stop.DROPPED)

    def _end(self, how: Stop) -> None:
        if self._stop or self._committing:
            return
        self._stop = how
        self._generation.cancel()
        if how is Stop.DROPPED:
            self._leave()

    async def _run(self) -> None:
        try:
            self._result = await self._finished(await self._listen())
        except Exception as error:
            self._failure = error
        finally:
            self._leave()
            asyncio.get_running_loop().call_soon(self._news.set)  # when the task is done

    async def _listen(self) -> Finish:
        finish: Finish | None = None
        async for delta in self._generation:
            finish = delta.finish
            if self._stop is not Stop.KEPT_AS_TOLD:
                thought, called = self._parser.thinks, self._parser.calls
                parts = self._parser.feed(delta.text, delta.mark) + (self._parser.finish() if finish else [])
                thinks, calls = thought or self._parser.thinks, called or self._parser.calls
                self._said.append(ReplyDelta(tuple(parts), delta.logprobs, delta.token_ids, thinks, calls))
                self._news.set()
        if finish is None:
            raise RuntimeError("the engine ended a turn without saying why")
        return finish

    async def _finished(self, finish: Finish) -> Turn:
        """A commit that has begun is not stopped: half a commit there is not."""
        reason = self._reason(finish.reason)
        turn = self._turn(finish, reason)
        if reason != "cancelled":
            self._committing = True
            return await asyncio.to_thread(self._commit, turn, tuple(self.output_token_ids))
        return turn

    def _reason(self, reason: FinishReason) -> EndReason:
        if self._stop is Stop.DROPPED:
            return "cancelled"
        is_cut = self._stop is Stop.KEPT_AS_TOLD or (self._stop is Stop.KEPT and reason == "cancelled")
        return "interrupted" if is_cut else reason

    def _leave(self) -> None:
        if not self._let_go:
            self._let_go = True
            self._on_end(self)

    def _content(self) -> tuple[Part, ...]:
        """Where nothing is called there is always a text, be it empty: clients expect one."""
        given = [Text(self.opening)] if self.opening else []
        parts = joined([*given, *(part for delta in self._said for part in delta.parts)])
        return parts if any(isinstance(part, Text | ToolCall) for part in parts) else (*parts, Text(""))

    def _turn(self, finish: Finish, reason: EndReason) -> Turn:
        answer = Item(self.item_id, "assistant", self._content(), complete=reason == "stop")
        reply = Reply(
            model=self.model_name,
            finish_reason=reason,
            completed_at=int(time.time()),
            output_tokens=len(self.output_token_ids),
            report={**finish.report.as_dict(), **self._context.facts, "sampling": self.request.sampling.choice},
            instructions=self.request.instructions,
            echo=self.request.echo,
            reasoning_tokens=sum(len(delta.token_ids) for delta in self._said if delta.thinks),
        )
        return Turn(
            id=self.id,
            parent_id=self._context.parent_id,
            conversation_id=self.request.conversation_id,
            created_at=self.created_at,
            input=self.request.input[:-1] if self.opening else self.request.input,
            output=() if self.request.cache.prewarm else (answer,),
            reply=reply,
            stored=self.request.stored,
            tenant=self.request.tenant,
        )
