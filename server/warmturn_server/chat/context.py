"""What a new turn is computed from: its prompt, and the ids of record that the prompt goes on from."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Final

from ..engine_api import Rewrite
from ..errors import ContextLengthExceeded, InvalidRequest
from .calls.as_recorded import AsRecorded
from .calls.formats import CallFormat
from .calls.pairs import paired
from .history import History, history_before, history_of
from .lookback.attribution import Outline
from .lookback.spans import Render
from .model import Conversation, ConversationId, Item, Tokens, Turn, TurnId, TurnRequest, as_messages
from .parts import Text
from .record_finder import Base, RecordFinder
from .storage.store import ConversationStore, Forgotten
from .transcript.control_names import Written
from .transcript.records import Record
from .transcript.rewrite import find_rewrite, parts_unseen
from .transcript.tokenizer import TextTokenizer
from .transcript.tool_messages import marked
from .transcript.transcript import Transcriber, Transcript
from .transcript.unused_character import unused_character
from .truncation import Exchanges, num_to_drop
from .unstored import UnstoredTurns

_MOST_COPIED: Final = 4096
_COPIED_BEFORE: Final = 32
"""Tokens of the record before the place where it parts from the prompt: by these it is found there."""
_SHARE_OF_REPLY: Final = 8
"""Of the context, where a request that drops old turns does not say how long its reply may be."""


_MOST_RECORDS: Final = 32
"""That are looked for, each with more of the prompt's calls than the one before."""
_END_CHARS: Final = 100
_WORD_CHARS: Final = 32
_MORE: Final = ("a", " a", "\n\n", "1.")
"""What may follow on a text: tokens that do not depend on it are those of the text."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """`items` as the template writes them, and the record that the ids go on from."""

    items: list[Item]
    written: Written
    base: Base
    transcript: Transcript
    near_copies: tuple[tuple[int, ...], ...] = ()
    """What was said where this turn begins, elsewhere or before: an answer to the same question, or to a like one."""

    def num_tokens_before(self, added: Sequence[Item]) -> int:
        """Those that stand before what the turn adds; 0 where the template's text does not show that."""
        start = len(self.written.text)
        for item in reversed(added):
            text = item.text.strip()
            start = self.written.text.rfind(text, 0, start) if text else 0
            if start <= 0:
                return 0
        return bisect_right(self.transcript.ends, start) if added else 0


@dataclass(frozen=True, slots=True)
class Beginning:
    """Of a prompt that is expected. `record`: the ids that it goes on from; `is_rewritten`: not from all of them."""

    token_ids: tuple[int, ...] = ()
    record: tuple[int, ...] = ()
    is_rewritten: bool = False


@dataclass(frozen=True, slots=True)
class TurnContext:
    parent_id: TurnId | None
    conversation: Conversation | None
    base_id: TurnId | None
    """The earlier turn of the same conversation whose record this one goes on from."""
    prompt: Prompt
    dropped_items: int
    """Of the history, as they no longer fit."""
    rewrite: Rewrite | None
    """Where the template changed history; None where the user did, by deleting items or editing."""
    continues: bool
    """Whether a conversation goes on, with an id or sent again as a whole; a common beginning alone is not enough."""
    outline: Outline | None
    """Whose the prompt's tokens are; only for who asked what the reply looked at."""

    @property
    def follows(self) -> str:
        """What it goes on from, as what was prepared for it is named."""
        if self.conversation:
            return self.conversation.id
        return self.parent_id or self.prompt.base.turn_id or ""

    @property
    def facts(self) -> dict[str, object]:
        """What the reply says of how its prompt came about."""
        tokens: Tokens = "record" if self.transcript.record_ids else "canonical"
        counts = {"record_tokens": self.transcript.record_ids, "dropped_items": self.dropped_items}
        return {"tokens": tokens, **counts}

    @property
    def text(self) -> str:
        return self.prompt.written.text

    @property
    def prompt_end(self) -> str:
        """What the template wrote behind all that was said."""
        last = self.prompt.items[-1]
        said = (last.results[-1].output if last.results else last.text).strip()
        _, found, rest = self.text.rpartition(said) if said else ("", "", "")
        return rest if found else self.text[-_END_CHARS:]

    @property
    def transcript(self) -> Transcript:
        return self.prompt.transcript

    @property
    def foreign_tokens(self) -> int:
        """How many ids another model's tokenizer left on record: the state behind them is lost to this one."""
        return self.prompt.base.foreign_tokens

    @property
    def known_tokens(self) -> int:
        """Prompt tokens whose state an earlier turn computed: all of its record but the last, which was only chosen."""
        return min(self.transcript.kept_tokens, max(self.transcript.record_tokens - 1, 0))


class ContextReader:
    """Reads the store and runs the template; takes milliseconds, so call it off the event loop."""

    def __init__(
        self,
        store: ConversationStore,
        transcriber: Transcriber,
        max_tokens: int,
        unstored: UnstoredTurns | None = None,
        room: int | None = None,
        calls: CallFormat | None = None,
    ) -> None:
        """`max_tokens`: of the model's context. `room`: where memory allows for less, how many tokens it allows for.
        `calls`: how the model calls functions, if it does."""
        self._store = store
        self._transcriber = transcriber
        self._max_tokens = max_tokens
        self._room = room or max_tokens
        self._tokenizer = transcriber.tokenizer
        self._calls = calls
        self._records = RecordFinder(store, self._tokenizer.vocabulary, unstored, self._tokenizer.control_names)

    def read(self, request: TurnRequest) -> TurnContext:
        history = history_before(request, self._store)
        items = paired(history.items, request.input)
        if not items:
            raise InvalidRequest("There is nothing to answer: give an input.", param="input")
        _check_opening(request)
        render = self.render_of(request)
        own, base = self._own_record(request.tenant, history)
        write = partial(self._write, request, render, base if own else None)
        prompt = self._fitting(request, items, render, write) if request.truncates else write(items)
        prompt = replace(prompt, base=replace(prompt.base, foreign_tokens=base.foreign_tokens))
        dropped = len(items) - len(prompt.items)
        edited = (
            own is None or request.canonical or bool(dropped) or _edited(request, own, prompt, history, self._tokenizer)
        )
        return TurnContext(
            parent_id=history.head,
            conversation=history.conversation,
            base_id=base.turn_id if own else None,
            prompt=prompt if request.canonical else replace(prompt, near_copies=self._near_copies(prompt, history)),
            dropped_items=dropped,
            rewrite=None if edited else find_rewrite(base.record, prompt.written, prompt.transcript, self._tokenizer),
            continues=prompt.base.turn_id is not None and (own is not None or prompt.transcript.rewritten_at is None),
            outline=_outline(request, prompt, render) if request.lookback else None,
        )

    def record_of(self, tenant: str, turn_id: TurnId) -> Record:
        """Of an earlier turn; empty where nothing of it is left, or another tokenizer made it."""
        return self._records.of_turn(tenant, turn_id).record

    def render_of(self, request: TurnRequest) -> Render:
        """How the template writes messages for this request."""
        options = request.template_options
        return partial(self._tokenizer.render, tools=request.tools, prompt_end=request.prompt_end, options=options)

    def _near_copies(self, prompt: Prompt, history: History) -> tuple[tuple[int, ...], ...]:
        """None longer than what is looked through in no time; those of another tokenizer mean nothing here.

        Where the prompt parts from its record, the record goes on with what was said before.
        """
        record, kept = prompt.base.record.token_ids, prompt.transcript.kept_tokens
        left = record[max(kept - _COPIED_BEFORE, 0) :] if len(record) > kept + 1 else ()
        beside = (part.token_ids for part in history.beside if part.vocabulary == self._tokenizer.vocabulary)
        return tuple(ids[:_MOST_COPIED] for ids in (left, *beside) if ids)

    def _write(self, request: TurnRequest, render: Render, own: Base | None, items: list[Item]) -> Prompt:
        messages = as_messages(request.instructions, items)
        written = render(messages)
        self._refuse_what_cannot_fit(written.text)
        base = own or self._records.of_text(request.tenant, written)
        if self._calls and not request.canonical and any(item.calls for item in items):
            find = None if own else partial(self._records.of_text, request.tenant)
            recorded = AsRecorded(self._calls, self._tokenizer.control_names, written)
            written, base = _with_calls(recorded, base, lambda mark: render(marked(messages, mark)).text, find)
        transcribe = self._transcriber.canonical if request.canonical else self._transcriber.transcribe
        return Prompt(items, written, base, transcribe(written, base.record))

    def _fitting(
        self, request: TurnRequest, items: list[Item], render: Render, write: Callable[[list[Item]], Prompt]
    ) -> Prompt:
        """The prompt without as many of the oldest exchanges as have to go for the reply to have its room."""
        exchanges = Exchanges(items)
        room = self._room - (request.sampling.max_tokens or self._room // _SHARE_OF_REPLY)

        def fits(count: int) -> bool:
            try:
                return len(write(exchanges.without(count)).transcript.token_ids) <= room
            except ContextLengthExceeded:
                return False

        def num_chars(count: int) -> int:
            return len(render(as_messages(request.instructions, exchanges.without(count))).text)

        return write(exchanges.without(num_to_drop(exchanges, fits, num_chars, step_chars=self._room)))

    def beginning(self, request: TurnRequest, items: list[Item], record: Record) -> Beginning:
        """How a prompt of these items begins, whatever the user writes behind the last of them, which is the user's."""
        mark = unused_character(item.text for item in items)
        open_ended = replace(items[-1], content=(Text(items[-1].text + mark),))
        messages = as_messages(request.instructions, [*items[:-1], open_ended])
        whole = self.render_of(request)(messages)
        end = whole.text.rfind(mark)
        if end < 0:
            return Beginning()
        self._refuse_what_cannot_fit(whole.text[:end])
        ways = [self._transcriber.transcribe(whole.until(end) + more, record) for more in _MORE]
        chains = zip(*(transcript.token_ids for transcript in ways), strict=False)
        shared = takewhile(lambda ids: len(set(ids)) == 1, chains)
        is_rewritten = min(transcript.kept_tokens for transcript in ways) < len(record) - 1
        return Beginning(tuple(ids[0] for ids in shared), record.token_ids, is_rewritten)

    def typed(self, request: TurnRequest) -> Beginning:
        """Of the prompt that the user is writing: the last item of the input is not whole yet."""
        history = history_before(request, self._store)
        _, base = self._own_record(request.tenant, history)
        *given, last = request.input
        certain = replace(last, content=(Text(_certain(last.text)),))
        return self.beginning(request, [*history.items, *given, certain], base.record)

    def computed_ids(self, tenant: str, conversation_id: ConversationId) -> tuple[int, ...]:
        """The ids that a next turn goes on from, as far as their state was computed: all but the last one chosen."""
        _, base = self._own_record(tenant, history_of(tenant, conversation_id, self._store))
        return base.record.token_ids[:-1]

    def _refuse_what_cannot_fit(self, text: str) -> None:
        """Before it is tokenised, which takes seconds and much memory for the longest text that a request may have."""
        if self._tokenizer.exceeds(text, self._max_tokens):
            raise ContextLengthExceeded(
                f"The prompt's {len(text):,} characters are more than {self._max_tokens:,} tokens, the limit of the "
                "model's context; shorten the conversation"
            )

    def still_shared(self, forgotten: Forgotten, tenant: str) -> Forgotten:
        """Told with as many tokens as other conversations begin with: their state stays."""
        shared = self._records.shared_tokens(tenant, forgotten.record)
        return replace(forgotten, shared_tokens=max(shared, forgotten.shared_tokens))

    def _own_record(self, tenant: str, history: History) -> tuple[Turn | None, Base]:
        """The last turn that has a record, and that record. Without any, how much is on record that means nothing."""
        foreign_tokens = 0
        for turn in reversed(history.visible):
            if turn.reply:
                is_read = bool(history.parts) and history.parts[-1].turn_id == turn.id
                base = self._records.of_parts(history.parts) if is_read else self._records.of_turn(tenant, turn.id)
                if base.turn_id:
                    return turn, base
                foreign_tokens = foreign_tokens or base.foreign_tokens
        return None, Base(foreign_tokens=foreign_tokens)


def _check_opening(request: TurnRequest) -> None:
    if request.prompt_end != "last_message":
        return
    if not request.input or request.input[-1].role != "assistant" or not request.opening.strip():
        raise InvalidRequest(
            "Only a message of the assistant that says something can go on: give one as the last of the input.",
            code="invalid_value",
            param="continue_final_message",
        )


def _with_calls(
    recorded: AsRecorded, base: Base, mark_calls: Callable[[str], str], find: Callable[[Written], Base] | None
) -> tuple[Written, Base]:
    """The prompt with its calls as the record has them. `find`: a record for a text, which fits the better the more of
    them it has."""
    written = recorded.plain
    if recorded.agrees_with(base.record):
        return written, base
    mark = unused_character([written.text])
    with_marks = mark_calls(mark)
    for _ in range(_MOST_RECORDS):
        found = recorded.by(base.record, with_marks, mark)
        if found == written:
            break
        written, base = found, find(found) if find else base
    return written, base


def _certain(typed: str) -> str:
    """Without the last word, which may become another one, and the spaces before it."""
    start, least = len(typed), max(len(typed) - _WORD_CHARS, 0)
    while start > least and not typed[start - 1].isspace():
        start -= 1
    return typed[:start].rstrip()


def _outline(request: TurnRequest, prompt: Prompt, render: Render) -> Outline:
    return Outline.of(prompt.written.text, prompt.transcript.ends, request.instructions, prompt.items, render)


def _edited(request: TurnRequest, own: Turn, prompt: Prompt, history: History, tokenizer: TextTokenizer) -> bool:
    """Whether it is the user who changed what the turn `own` saw or said: instructions, items deleted since, a stop
    string, a limit that cut a character in two."""
    if own.reply is None or (own.reply.instructions or None) != (request.instructions or None):
        return True
    if own.reply.echo.get("tools") != request.echo.get("tools"):
        return True
    said = "".join(item.calls[-1].arguments if item.calls else item.text or item.reasoning for item in own.output)
    if own.output and parts_unseen(prompt.base.record, prompt.written, own.reply.output_tokens, said, tokenizer):
        return True
    deleted = (item for turn in history.turns for item in turn.items if item.id in history.hidden)
    return any(item.text.strip() in prompt.base.record.text for item in deleted)
