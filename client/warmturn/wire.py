"""What goes over the wire, as plain dataclasses.

`parse_...` reads the server's JSON: unknown fields are skipped, absent optional ones are None, and an absent required
one is a ProtocolError.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, TypeVar

from warmturn.errors import ProtocolError
from warmturn.report import Json, TurnReport, parse_report

ReuseMode = Literal["state", "prompt", "nothing"]
REUSE_MODES: tuple[ReuseMode, ...] = ("state", "prompt", "nothing")
Tokens = Literal["record", "canonical"]
DRAFT_OF = "draft_of"
"""In the metadata of a conversation: the id of the one whose place it is to take."""
TIERS = ("resident", "ram", "disk", "redis")
"""Nearest first."""
AUDIT_RESULTS = ("breach", "clean", "inconclusive")

_SAID = ("output_text", "input_text", "text", "refusal")
_THOUGHT = ("reasoning_text",)
_OF_CALLS = ("call_id", "name", "arguments", "output")

_T = TypeVar("_T")


class Message(TypedDict):
    """One input message: `{"role": "user", "content": "hello"}`."""

    role: str
    content: str


class TurnOptions(TypedDict, total=False):
    """Everything besides the input that a turn can be asked with. What is left out is the server's default."""

    model: str
    conversation: str
    previous_response_id: str
    instructions: str
    store: bool
    reuse: ReuseMode
    tokens: Tokens
    truncation: Literal["auto", "disabled"]
    max_output_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    seed: int
    stop: Sequence[str]
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float
    ignore_eos: bool
    on_disconnect: Literal["discard", "keep"]
    stop_token_ids: Sequence[int]
    min_tokens: int
    bad_words: Sequence[str]
    logit_bias: Mapping[str, float]
    continue_final_message: bool
    add_generation_prompt: bool
    metadata: Mapping[str, str]
    token_ids: bool
    lookback: bool


@dataclass(frozen=True, slots=True)
class Turn:
    """One reply. `status` is completed, incomplete (cut at the token limit, or stopped and kept) or failed."""

    id: str
    model: str
    status: str
    text: str
    output_tokens: int
    conversation: str | None
    previous_response_id: str | None
    report: TurnReport
    incomplete_reason: str | None = None
    reasoning: str = ""
    """What the model thought before it answered."""


@dataclass(frozen=True, slots=True)
class LoggedTurn:
    """A turn of a conversation as the log has it: its response's id, when it was, and its report."""

    id: str
    created_at: int
    report: TurnReport


@dataclass(frozen=True, slots=True)
class Pin:
    """Of a conversation's state `tokens` are to stay until then (seconds since 1970), in so many bytes.

    `kept` is False while some of them are away.
    """

    until: int
    tokens: int
    bytes: int
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Conversation:
    id: str
    created_at: int
    updated_at: int
    metadata: dict[str, str] = field(default_factory=dict)
    pin: Pin | None = None

    @property
    def title(self) -> str:
        return self.metadata.get("title", "")

    @property
    def is_draft(self) -> bool:
        """What another one may become, or might have: an answer was being made in it."""
        return DRAFT_OF in self.metadata


@dataclass(frozen=True, slots=True)
class Warming:
    """What the server does to bring a conversation's state nearer: it is `warm`, `started`, `nothing_saved`, `skipped`.

    Of what is typed: it is `preparing` it, has `abandoned` it, or `skipped` it, for a turn runs; `tokens` is None then.

    `tokens_by_tier` says where the state was when asked, None where that was not known at once.
    """

    status: str
    tokens: int | None
    tokens_by_tier: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file: its `conversation`, how far the file was believed, and how much of its state was taken.

    `trust` is `signed`, `unknown_signer` or `unsigned`. Where state was not taken, from `missed_at` on, `why` says it.
    """

    conversation: str
    trust: str
    state_tokens: int
    taken_tokens: int
    missed_at: int | None = None
    reason: str | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """Of a function: a `function_call` has its name and arguments, a `function_call_output` its output; the id joins
    the two."""

    call_id: str
    name: str = ""
    arguments: str = ""
    output: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a conversation; `role` and `text` are empty for items that are no messages."""

    id: str
    type: str
    role: str = ""
    text: str = ""
    status: str | None = None
    reasoning: str = ""
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    owned_by: str = ""


def parse_turn(data: Json) -> Turn:
    def read() -> Turn:
        conversation = data.get("conversation")
        return Turn(
            id=data["id"],
            model=data["model"],
            status=data["status"],
            text="".join(_item_text(item) for item in data["output"] if item.get("type") == "message"),
            output_tokens=(data.get("usage") or {}).get("output_tokens", 0),
            conversation=conversation["id"] if isinstance(conversation, dict) else conversation,
            previous_response_id=data.get("previous_response_id"),
            report=parse_report(data["warmturn"]),
            reasoning="".join(_item_text(item, _THOUGHT) for item in data["output"]),
            incomplete_reason=(data.get("incomplete_details") or {}).get("reason"),
        )

    return _required(read, "a response")


def parse_conversation(data: Json) -> Conversation:
    def read() -> Conversation:
        created_at, pin = data["created_at"], data.get("pin")
        return Conversation(
            data["id"],
            created_at,
            data.get("updated_at", created_at),
            dict(data.get("metadata") or {}),
            Pin(pin["until"], pin["tokens"], pin["bytes"], pin.get("kept", True)) if pin else None,
        )

    return _required(read, "a conversation")


def parse_warming(data: Json) -> Warming:
    return _required(
        lambda: Warming(data["status"], data["tokens"], data.get("tokens_by_tier")), "the warming of a conversation"
    )


def parse_imported(data: Json) -> Imported:
    return _required(lambda: _imported(data, data["state"], data["state"].get("miss") or {}), "an import")


def _imported(data: Json, state: Json, miss: Json) -> Imported:
    missed = (miss.get("at_token"), miss.get("reason"), miss.get("why"))
    return Imported(data["conversation"], data["trust"], state["tokens"], state["taken_tokens"], *missed)


def parse_item(data: Json) -> Item:
    return _required(
        lambda: Item(
            data["id"],
            data["type"],
            data.get("role", ""),
            _item_text(data),
            data.get("status"),
            _item_text(data, _THOUGHT),
            Call(**{name: data[name] for name in _OF_CALLS if name in data}) if data.get("call_id") else None,
        ),
        "an item",
    )


def parse_logged_turn(data: Json) -> LoggedTurn:
    return _required(
        lambda: LoggedTurn(data["id"], data["created_at"], parse_report(data["warmturn"])), "a turn of a conversation"
    )


def parse_model(data: Json) -> Model:
    return _required(lambda: Model(data["id"], data.get("owned_by", "")), "a model")


def figure_at(figures: object, *path: str) -> Any:
    """Of `/v1/stats`, by the names that lead to it; None where the server does not say it."""
    for name in path:
        figures = figures.get(name) if isinstance(figures, dict) else None
    return figures


def _item_text(item: Json, kinds: Collection[str] = _SAID) -> str:
    """Of its parts of these kinds."""
    content = item.get("content")
    if isinstance(content, str):
        return content if kinds is _SAID else ""
    return "".join(part.get("text", "") for part in content or () if part.get("type", "text") in kinds)


def _required(read: Callable[[], _T], what: str) -> _T:
    try:
        return read()
    except (KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"the server's reply is not {what} of Warmturn: {error!r}") from error
