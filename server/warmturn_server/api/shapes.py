"""What replies look like, for `/openapi.json`. The replies themselves are plain dictionaries; the fault suite compares.

Fields that are not named here may come with later versions; those of the `warmturn` extension are in API.md.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, RootModel


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow")


class Error(_Shape):
    message: str
    type: str
    param: str | None
    code: str | None


class Failed(_Shape):
    """Every failure, of every route."""

    error: Error


class Part(_Shape):
    type: Literal["input_text", "output_text"]
    text: str


class MessageItem(_Shape):
    id: str
    type: Literal["message"]
    role: Literal["system", "developer", "user", "assistant"]
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[Part]


class Pin(_Shape):
    """`kept` is false while state is away that was to stay."""

    until: int
    tokens: int
    bytes: int
    kept: bool


class ReasoningPart(_Shape):
    type: Literal["reasoning_text"]
    text: str


class ReasoningItem(_Shape):
    id: str
    type: Literal["reasoning"]
    status: Literal["in_progress", "completed", "incomplete"]
    content: list[ReasoningPart]


class CallItem(_Shape):
    id: str
    type: Literal["function_call"]
    status: Literal["in_progress", "completed", "incomplete"]
    call_id: str
    name: str
    arguments: str


class CallOutputItem(_Shape):
    id: str
    type: Literal["function_call_output"]
    status: Literal["completed"]
    call_id: str
    output: str


class ItemShape(RootModel[MessageItem | ReasoningItem | CallItem | CallOutputItem]):
    """What a conversation or a reply is made of."""


class ConversationShape(_Shape):
    id: str
    object: Literal["conversation"]
    created_at: int
    updated_at: int
    metadata: dict[str, str]
    pin: Pin | None


class TurnShape(_Shape):
    id: str
    object: Literal["conversation.turn"]
    created_at: int
    items: list[str]
    warmturn: dict[str, Any]


class _Page(_Shape):
    object: Literal["list"]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ConversationPage(_Page):
    data: list[ConversationShape]


class ItemPage(_Page):
    data: list[ItemShape]


class TurnPage(_Page):
    data: list[TurnShape]


class Deleted(_Shape):
    id: str
    object: Literal["conversation.deleted", "response", "import.deleted"]
    deleted: Literal[True]


class Warmed(_Shape):
    """`tokens_by_tier`: where the state was; null when that takes longer to find out."""

    id: str
    object: Literal["conversation.warmed"]
    status: str
    tokens: int | None
    tokens_by_tier: dict[str, int] | None


class StateMissed(_Shape):
    at_token: int
    reason: str
    why: str


class ImportedState(_Shape):
    tokens: int
    taken_tokens: int
    miss: StateMissed | None


class WantedPart(_Shape):
    number: int
    offset: int
    bytes: int


class ImportShape(_Shape):
    id: str
    object: Literal["import"]
    status: Literal["open", "completed"]
    trust: Literal["signed", "unknown_signer", "unsigned"]
    conversation: str | None
    state: ImportedState
    wanted: list[WantedPart]


class ConversationName(_Shape):
    id: str


class InputTokens(_Shape):
    object: Literal["response.input_tokens"]
    input_tokens: int


class ResponseUsage(_Shape):
    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseShape(_Shape):
    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    model: str
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: dict[str, Any] | None
    incomplete_details: dict[str, str] | None
    instructions: str | None
    conversation: ConversationName | None
    previous_response_id: str | None
    output: list[ItemShape]
    usage: ResponseUsage | None
    store: bool


class CompletionMessage(_Shape):
    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: list[dict[str, Any]] = []


class Choice(_Shape):
    index: int
    message: CompletionMessage
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length", "tool_calls"]


class CompletionUsage(_Shape):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: dict[str, int]
    completion_tokens_details: dict[str, int]


class Completion(_Shape):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage
    warmturn: dict[str, Any]


class BareChoice(_Shape):
    index: int
    text: str
    logprobs: dict[str, Any] | None
    finish_reason: Literal["stop", "length"]
    warmturn: dict[str, Any]


class BareCompletion(_Shape):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[BareChoice]
    usage: dict[str, Any]


class ModelShape(_Shape):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    context_length: int
    sampling_defaults: dict[str, float]
    reasoning_format: str | None
    tool_format: str | None
    chat_template_kwargs: list[str]
    chat_template_refuses: list[str]


class ModelList(_Shape):
    object: Literal["list"]
    data: list[ModelShape]


class Health(_Shape):
    status: Literal["ok"]


class Readiness(_Shape):
    status: str
    model: str
    log: dict[str, Any]
    tiers: dict[str, dict[str, bool]]


class StatsShape(_Shape):
    instance: str
    uptime_seconds: float
    totals: dict[str, int]
