"""Where conversations are kept. One suite, `tests/server/chat/storage`, holds for every implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from ...errors import Conflict, InvalidRequest, WarmturnError
from ..model import Conversation, ConversationId, ItemId, Turn, TurnId
from ..transcript.prefix_digests import TextDigest
from ..transcript.records import Record, RecordPart, assemble
from .locks import Lease


class StoreFailed(WarmturnError):
    """The log cannot be read or written, so nothing can be promised: the turn is refused."""

    status = 503
    code = "store_unavailable"


class StoreFull(StoreFailed):
    """There is no room for more in the log: turns are refused before they are computed, until there is."""

    code = "store_full"


class StoreCorrupt(StoreFailed):
    """What the log says here was not written by this service, or was damaged since: it is not used."""

    code = "store_corrupt"


def damaged(kind: str, name: str) -> StoreCorrupt:
    """It names what is damaged, and quotes nothing of it."""
    return StoreCorrupt(
        f"The {kind} of '{name}' in the conversation log is damaged, or was not written by this service; "
        "it is not used."
    )


class VersionConflict(Conflict):
    """The conversation went on elsewhere since this turn began."""

    code = "conversation_changed"


class ConversationExists(Conflict):
    """Another conversation has the id."""

    code = "conversation_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a conversation '{name}' here already; it is not overwritten.")


class PageNotFound(InvalidRequest):
    """The conversation behind which a page was to begin is not there; an empty page would say that it was the last."""

    code = "invalid_value"

    def __init__(self, after: str) -> None:
        super().__init__(f"There is no conversation '{after}' here.", param="after")


@dataclass(frozen=True, slots=True)
class Page:
    limit: int = 20
    after: str | None = None
    order: Literal["asc", "desc"] = "desc"


@dataclass(frozen=True, slots=True)
class Append:
    """One turn, in one piece: all of it is in the log or nothing.

    The record is found again by `prefix_digests`. With `conversation` the turn becomes its head, if its version still
    is `expected_version`.
    """

    turn: Turn
    record: RecordPart | None = None
    prefix_digests: Sequence[TextDigest] = ()
    conversation: ConversationId | None = None
    expected_version: int = 0
    lease: Lease | None = None
    """Under which the turn was made; a store that several servers share refuses a stale one, and lets go of it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a turn goes on from. `parts`: the record of the last turn that has one, from its root; `beside`: of those
    that go on from it elsewhere, the newest.
    """

    conversation: Conversation
    turns: list[Turn]
    parts: list[RecordPart]
    beside: list[RecordPart] = field(default_factory=list)


MOST_BESIDE: Final = 4


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A record that nobody can reach any more; its first `shared_tokens` ids are still part of others."""

    record: Record
    shared_tokens: int


@dataclass(frozen=True, slots=True)
class LogStatus:
    """How the log is, for those who run the server. `durable` is None when it cannot be known."""

    store: Literal["sqlite", "redis"]
    reachable: bool
    durable: bool | None
    why: str
    settings: Mapping[str, object] = field(default_factory=dict)
    """What it rests on, as the store itself says; unknown is None."""
    writable: bool = True
    """Whether a turn could be committed now."""


class ConversationStore(Protocol):
    """All methods are atomic, durable when they return, and may be called from any thread.

    What is not there (for this tenant) is None or empty. Turns and records never change once written, but for what is
    deleted of them.
    """

    def create(self, conversation: Conversation, append: Append | None = None) -> None: ...

    def take_in(self, conversation: Conversation, appends: Sequence[Append]) -> None:
        """A whole conversation at once, its turns in order, the last one its head; at least one. None of them names it
        as the conversation to append to. Raises `ConversationExists`: none is ever overwritten.
        """
        ...

    def conversation(self, tenant: str, conversation_id: ConversationId) -> Conversation | None: ...

    def open_conversation(self, tenant: str, conversation_id: ConversationId) -> Opened | None:
        """All at once, for each question may be a round trip."""
        ...

    def conversations(self, tenant: str, page: Page) -> list[Conversation]:
        """By time of creation; at most `limit`, behind the one named `after`. Raises PageNotFound."""
        ...

    def set_metadata(
        self, tenant: str, conversation_id: ConversationId, metadata: Mapping[str, str]
    ) -> Conversation | None: ...

    def hide_item(
        self, tenant: str, conversation_id: ConversationId, item_id: ItemId, expected_version: int
    ) -> list[Forgotten]:
        """The item leaves its turn too, and the records of those who saw it go, once nobody else shows it.

        Raises VersionConflict.
        """
        ...

    def append(self, append: Append) -> None:
        """Doing it twice with the same turn id is the same as doing it once. Raises VersionConflict."""
        ...

    def turn(self, tenant: str, turn_id: TurnId) -> Turn | None: ...

    def turns(self, tenant: str, turn_id: TurnId) -> list[Turn]:
        """From the root of the tree to this turn."""
        ...

    def record_parts(self, tenant: str, turn_id: TurnId) -> list[RecordPart]:
        """From the root of the tree to this turn's record."""
        ...

    def record_lines(self, tenant: str, turn_ids: Sequence[TurnId]) -> list[list[RecordPart]]:
        """The same for several."""
        ...

    def records_beginning(self, tenant: str, chain: Sequence[TextDigest], limit: int) -> list[TurnId]:
        """Those that own the last digest of `chain` that anybody owns, newest first."""
        ...

    def records_based_on(self, tenant: str, turn_id: TurnId, limit: int) -> list[RecordPart]:
        """Newest first."""
        ...

    def delete_conversation(self, tenant: str, conversation_id: ConversationId) -> list[Forgotten]:
        """Removes it with its turns, but for those that other conversations or responses go back to."""
        ...

    def withdraw(self, tenant: str, turn_id: TurnId) -> list[Forgotten]:
        """The response can no longer be asked for; its turn is removed once nothing goes back to it."""
        ...

    def refuse_if_full(self, num_bytes: int) -> None:
        """To be asked before a turn of that size is computed. Raises StoreFailed if it could not be committed."""
        ...

    def status(self) -> LogStatus:
        """Asks the store itself. Never raises."""
        ...

    def close(self) -> None: ...


def forgotten(parts: Sequence[RecordPart], is_kept: Callable[[TurnId], bool]) -> Forgotten:
    """Of the removed record at the end of `parts`; its leading ids still belong to the nearest one that is kept."""
    record = assemble(parts)
    shared = len(record)
    for part in reversed(parts):
        if is_kept(part.turn_id):
            return Forgotten(record, shared)
        shared = min(shared, part.kept_tokens)
    return Forgotten(record, 0)
