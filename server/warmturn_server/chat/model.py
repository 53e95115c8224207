"""What a conversation is made of: ids, items, turns, and what a caller asks for in one turn.

Conversations are a tree of turns, like commits: turns never change, conversations and forks point at one each.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NewType, NotRequired, TypedDict

from ..engine_api import FinishReason, ReuseMode, SamplingParams
from .parts import Part, Reasoning, ToolCall, ToolResult, part_content, part_of, text_of
from .principal import Principal
from .tool_rules import ToolRules

ConversationId = NewType("ConversationId", str)
TurnId = NewType("TurnId", str)
"""Also the id of the response that the turn gave; clients require the prefix `resp_`."""
ItemId = NewType("ItemId", str)


def new_conversation_id() -> ConversationId:
    return ConversationId(f"conv_{secrets.token_hex(24)}")


def new_turn_id() -> TurnId:
    return TurnId(f"resp_{secrets.token_hex(24)}")


def new_item_id() -> ItemId:
    return ItemId(f"msg_{secrets.token_hex(24)}")


def item_id_of(turn_id: TurnId) -> ItemId:
    """Of what a turn answers: who refers to the item has named its turn."""
    return ItemId(f"msg_{turn_id.removeprefix('resp_')}")


def turn_id_of(item_id: ItemId) -> TurnId:
    return TurnId(f"resp_{item_id.removeprefix('msg_')}")


Role = Literal["system", "developer", "user", "assistant", "tool"]
Tool = Mapping[str, Any]
"""What a model may call, as chat templates take it: a JSON schema with a name."""


TemplateOptions = Mapping[str, bool | int | str]
"""What a chat template is told beside the messages: whether and how much to think."""


class ChatMessage(TypedDict):
    """What chat templates take."""

    role: str
    content: str
    reasoning_content: NotRequired[str]
    tool_calls: NotRequired[list[dict[str, object]]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]
    """Of the function whose result it is."""


@dataclass(frozen=True, slots=True)
class Item:
    id: ItemId
    role: Role
    content: tuple[Part, ...]
    complete: bool = True

    @property
    def text(self) -> str:
        return text_of(self.content)

    @property
    def reasoning(self) -> str:
        return "".join(part.text for part in self.content if isinstance(part, Reasoning))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.content if isinstance(part, ToolCall))

    @property
    def results(self) -> tuple[ToolResult, ...]:
        return tuple(part for part in self.content if isinstance(part, ToolResult))

    def as_message(self) -> ChatMessage:
        """Templates know no `developer`; it is the newer name of `system`."""
        message = ChatMessage(role="system" if self.role == "developer" else self.role, content=self.text)
        for part in self.content:
            if isinstance(part, Reasoning):
                message["reasoning_content"] = message.get("reasoning_content", "") + part.text
            elif isinstance(part, ToolCall):
                message.setdefault("tool_calls", []).append(_call(part))
            elif isinstance(part, ToolResult):
                message["tool_call_id"], message["content"] = part.call_id, part.output
        return message


def _call(call: ToolCall) -> dict[str, object]:
    """What is no JSON is shown to the model as it wrote it: whoever called may say what is wrong with it."""
    given = call.given
    function = {"name": call.name, "arguments": {"arguments": call.arguments} if given is None else given}
    return {"id": call.call_id, "type": "function", "function": function}


def item_content(item: Item) -> dict[str, object]:
    """Ready for JSON."""
    parts = [part_content(part) for part in item.content]
    return {"id": item.id, "role": item.role, "parts": parts, "complete": item.complete}


def items_from(contents: Iterable[Mapping[str, Any]]) -> tuple[Item, ...]:
    """From what `item_content` made of them, by way of JSON."""
    return tuple(
        Item(ItemId(item["id"]), item["role"], tuple(part_of(part) for part in item["parts"]), item["complete"])
        for item in contents
    )


def as_messages(instructions: str | None, items: Iterable[Item]) -> list[ChatMessage]:
    """Results have the names of the functions that they are of: some templates ask for them."""
    messages = [ChatMessage(role="system", content=instructions)] if instructions else []
    names = dict[str, str]()
    for item in items:
        message = item.as_message()
        names |= {call.call_id: call.name for call in item.calls}
        if (name := names.get(message.get("tool_call_id", ""))) is not None:
            message["name"] = name
        messages.append(message)
    return messages


EndReason = FinishReason | Literal["interrupted"]
"""Why a reply ended. An `interrupted` one was stopped and kept as far as it had come."""


@dataclass(frozen=True, slots=True)
class Reply:
    """How an answer came about; with the items of its turn, all that `GET /v1/responses/{id}` shows."""

    model: str
    finish_reason: EndReason
    completed_at: int
    output_tokens: int
    report: Mapping[str, object]
    """The engine's account of the turn: the extension object `warmturn`."""
    instructions: str | None = None
    echo: Mapping[str, object] = field(default_factory=dict)
    """Request fields that the response object repeats."""
    reasoning_tokens: int = 0
    """Of the output tokens: what the model said to itself."""


@dataclass(frozen=True, slots=True)
class Turn:
    """`input` and what came of it. Without a `reply`, items were added by hand and nothing was generated."""

    id: TurnId
    parent_id: TurnId | None
    conversation_id: ConversationId | None
    created_at: int
    input: tuple[Item, ...]
    output: tuple[Item, ...] = ()
    reply: Reply | None = None
    stored: bool = False
    """Whether the response may be asked for by its id."""
    tenant: str = ""

    @property
    def items(self) -> tuple[Item, ...]:
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Conversation:
    id: ConversationId
    created_at: int
    updated_at: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    head: TurnId | None = None
    version: int = 0
    """Grows with each change of what the conversation says; a turn is appended to the version it was made from only."""
    hidden: frozenset[ItemId] = frozenset()
    """Deleted items. They leave the turns that hold them once no other conversation shows them."""
    tenant: str = ""


def visible_items(turns: Iterable[Turn], hidden: Collection[ItemId]) -> list[Item]:
    return [item for turn in turns for item in turn.items if item.id not in hidden]


def visible_turns(turns: Iterable[Turn], hidden: Collection[ItemId]) -> list[Turn]:
    """Without the trailing turns of which nothing is left: after an undo the next turn is a sibling, not a child."""
    kept = list(turns)
    while kept and all(item.id in hidden for item in kept[-1].items):
        kept.pop()
    return kept


Tokens = Literal["record", "canonical"]
"""Whether a prompt goes on from ids of record, where its text is theirs, or has those of the tokenizer alone."""


PromptEnd = Literal["new_reply", "last_message", "bare"]
"""What is computed last: the beginning of a new reply, the open end of a message that goes on, or just the messages."""


@dataclass(frozen=True, slots=True)
class CacheWishes:
    """What a caller asks of the saved state of a turn's prompt.

    `ttl_seconds`: it is to stay at least so long. `only_marked`: nothing behind the last mark is to be saved.
    `prewarm`: the prompt is computed and saved, and no reply is made. `compared_with`: say why state was not reused
    that this response had left.
    """

    ttl_seconds: int | None = None
    only_marked: bool = False
    prewarm: bool = False
    compared_with: TurnId | None = None


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """New `input`, on top of a conversation, of an earlier response, or of nothing.

    `tokens`: None for what fits, see `canonical`. `truncates`: the oldest turns may be left out where not all fit.
    `stored`: the response may be asked for by its id later. `keep_stopped`: a turn that is stopped before its end
    is kept as far as the caller could have seen it. `lookback`: say what the reply looked at. `background`: whether or
    not anybody listens, and known by its id from the beginning. `turn_id`: where it has one already. `echo`: request
    fields that the response object repeats.
    """

    input: tuple[Item, ...]
    principal: Principal = Principal()  # noqa: RUF009 - frozen
    conversation_id: ConversationId | None = None
    previous_response_id: TurnId | None = None
    instructions: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_rules: ToolRules = ToolRules()  # noqa: RUF009 - frozen
    template_options: TemplateOptions = field(default_factory=dict)
    sampling: SamplingParams = SamplingParams()
    reuse: ReuseMode = ReuseMode.STATE
    tokens: Tokens | None = None
    prompt_end: PromptEnd = "new_reply"
    truncates: bool = False
    stored: bool = False
    keep_stopped: bool = False
    lookback: bool = False
    background: bool = False
    turn_id: TurnId | None = None
    echo: Mapping[str, object] = field(default_factory=dict)
    cache: CacheWishes = CacheWishes()

    @property
    def tenant(self) -> str:
        return self.principal.tenant

    @property
    def opening(self) -> str:
        """How the reply begins, where it goes on with the last message of the input."""
        return self.input[-1].text if self.prompt_end == "last_message" and self.input else ""

    @property
    def canonical(self) -> bool:
        """Without reuse of any kind, what was generated here before must not show in a request that carries all of its
        history. That of a conversation is on record, in every mode: there the ids are what was said."""
        if self.tokens is not None:
            return self.tokens == "canonical"
        carries_all = self.conversation_id is None and self.previous_response_id is None
        return carries_all and self.reuse is ReuseMode.NOTHING
