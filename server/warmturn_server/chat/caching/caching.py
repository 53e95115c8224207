"""From what a caller asks of saved state to what the engine is asked, and what the reply says of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...engine_api import Keeping, Promised, PromiseRequest, ReuseMode, Stretch
from ...engine_api.engine import TurnEngine
from ...errors import InvalidRequest, PromiseRefused
from ..context import ContextReader, TurnContext
from ..model import CacheWishes, Turn, TurnRequest
from ..storage.store import ConversationStore, StoreCorrupt
from .breakpoints import MOST, Breakpoint, find_breakpoints
from .comparison import NOT_FOUND, UNAVAILABLE, Compared, Diagnostics, compare


@dataclass(frozen=True, slots=True)
class Wished:
    """What is under way for one turn. `promise`: its name, empty where nothing was promised."""

    keeping: Keeping = Keeping()  # noqa: RUF009 - frozen
    uses_no_state: bool = False
    """As nothing of the prompt is to be saved."""
    promise: str = ""
    breakpoints: tuple[Breakpoint, ...] = ()
    compared: Compared | Diagnostics | None = None
    """With the earlier response, or what is said of it at once."""

    @property
    def of_further_choice(self) -> Wished:
        """Of the same prompt: what was promised is so once."""
        return replace(self, promise="", keeping=replace(self.keeping, promised=False))


class Caching:
    def __init__(
        self, store: ConversationStore, engine: TurnEngine, reader: ContextReader, *, keeps_unstored: bool
    ) -> None:
        """`keeps_unstored`: whether state of turns is kept that are in no log."""
        self._store = store
        self._engine = engine
        self._reader = reader
        self._keeps_unstored = keeps_unstored

    def begin(self, request: TurnRequest, context: TurnContext) -> Wished:
        """Everything that can be refused is refused here. Reads and writes files, so not on the event loop."""
        breakpoints = self._breakpoints(request, context)
        self._refuse_what_is_not_saved(request, context, breakpoints)
        ends, stretches = _places(request, context, breakpoints)
        most = max(ends, default=0) if request.cache.only_marked else None
        wished = Wished(
            Keeping(tuple(dict.fromkeys(ends)), most, promised=bool(stretches)),
            most == 0 and request.reuse is ReuseMode.STATE,
            f"turn {secrets.token_hex(16)}" if stretches else "",
            breakpoints,
            self._compared(request, context),
        )
        if wished.promise:
            self._promise(wished.promise, request, context, stretches)
        return wished

    def settled(self, turn: Turn, wished: Wished) -> Turn:
        """The turn with what became of its wishes. Waits for the state that was promised to be saved."""
        assert turn.reply is not None, "only generated turns have wishes"
        report, echo = dict(turn.reply.report), dict(turn.reply.echo)
        if wished.breakpoints:
            report["breakpoints"] = [place.num_tokens for place in wished.breakpoints]
        if wished.promise:
            promised = self._engine.settle(wished.promise)
            report["promise"] = _promise_object(promised)
            if promised is None and "prompt_cache_options" in echo:
                echo["prompt_cache_options"] = None
        if wished.compared is not None:
            echo["prompt_cache_diagnostics"] = self._diagnostics(wished.compared, report)
        return replace(turn, reply=replace(turn.reply, report=report, echo=echo))

    def ended(self, wished: Wished) -> None:
        """Nothing more will come of the turn."""
        if wished.promise:
            self._engine.withdraw(wished.promise)

    def _promise(self, name: str, request: TurnRequest, context: TurnContext, stretches: list[Stretch]) -> None:
        asked = PromiseRequest(
            name, request.tenant, context.transcript.token_ids, tuple(stretches), request.conversation_id or ""
        )
        try:
            self._engine.promise(asked)
        except PromiseRefused as error:
            if request.cache.ttl_seconds is None:
                error.param = "input"  # it is the marks that ask for it
            raise

    def _breakpoints(self, request: TurnRequest, context: TurnContext) -> tuple[Breakpoint, ...]:
        prompt, most = context.prompt, MOST if request.cache.only_marked else MOST - 1
        render = self._reader.render_of(request)
        ends = prompt.transcript.ends
        return find_breakpoints(prompt.written.text, ends, request.instructions, prompt.items, render, most)

    def _compared(self, request: TurnRequest, context: TurnContext) -> Compared | Diagnostics | None:
        """With the response that the caller named, or what is said where there is nothing to compare with."""
        if (turn_id := request.cache.compared_with) is None:
            return None
        try:
            before = self._store.turns(request.tenant, turn_id)
            record = self._reader.record_of(request.tenant, turn_id)
        except StoreCorrupt:
            return UNAVAILABLE
        if not before or not before[-1].stored or before[-1].reply is None:
            return NOT_FOUND
        prompt = context.prompt.items, context.transcript.token_ids, context.dropped_items
        return compare(request, prompt, before, record, self._engine.model_name) or UNAVAILABLE

    def _diagnostics(self, compared: Compared | Diagnostics, report: Mapping[str, Any]) -> Diagnostics:
        if not isinstance(compared, Compared):
            return compared
        return compared.diagnostics(report, self._engine.block_size)

    def _refuse_what_is_not_saved(
        self, request: TurnRequest, context: TurnContext, breakpoints: tuple[Breakpoint, ...]
    ) -> None:
        wishes = request.cache
        param = _asking(wishes, breakpoints)
        if not param:
            return
        if request.reuse is not ReuseMode.STATE:
            raise InvalidRequest(
                f"{param}: with reuse: '{request.reuse}' no state is saved, so none is prewarmed, and none stays for a "
                "ttl; leave one of the two out.",
                param=param,
            )
        is_logged = (request.stored or context.conversation is not None) and not wishes.prewarm
        if not is_logged and not self._keeps_unstored:
            raise InvalidRequest(
                f"{param}: this server keeps no state of what is not stored (--unstored-ttl 0).",
                code="unsupported_value",
                param=param,
            )
        if wishes.prewarm and wishes.only_marked and not any(place.num_tokens for place in breakpoints):
            raise InvalidRequest(
                f"{param}: with mode: 'explicit' only what is marked is saved, and nothing is marked.", param=param
            )


def _asking(wishes: CacheWishes, breakpoints: tuple[Breakpoint, ...]) -> str:
    """The field that asks for state to be saved, which may be a mark in the input; empty where none does."""
    if wishes.prewarm:
        return "prompt_cache_options.prewarm"
    if wishes.ttl_seconds:
        return "prompt_cache_options.ttl"
    return "input" if any(place.ttl_seconds for place in breakpoints) else ""


def _places(
    request: TurnRequest, context: TurnContext, breakpoints: tuple[Breakpoint, ...]
) -> tuple[list[int], list[Stretch]]:
    """Where the state is to end that can be gone on from, and how much of it is to stay for how long.

    The prompt's own end is the one before its last token too: that is computed again where the same prompt comes again.
    """
    wishes, num_tokens = request.cache, len(context.transcript.token_ids)
    ends = [(place.num_tokens, place.ttl_seconds) for place in breakpoints]
    if not wishes.only_marked and (wishes.ttl_seconds or wishes.prewarm):
        ends += [(num_tokens - 1, None), (num_tokens, None)]
    placed = [(end, own or wishes.ttl_seconds) for end, own in ends if end]
    return [end for end, _ in placed], [Stretch(end, seconds) for end, seconds in placed if seconds]


def _promise_object(promised: Promised | None) -> dict[str, object]:
    """What the reply says: `kept` is false where the state could not be saved, and then nothing is promised."""
    if promised is None:
        return {"kept": False, "until": None, "tokens": 0, "bytes": 0}
    told = {"until": int(promised.until), "tokens": promised.num_tokens, "bytes": promised.num_bytes}
    return {"kept": promised.is_kept, **told}
