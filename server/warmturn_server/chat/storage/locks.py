"""One change at a time for each conversation."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from ...errors import Conflict
from ..model import ConversationId


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to change a conversation. A later one has a higher `fence`; what comes under a lower one is stale."""

    tenant: str
    conversation_id: ConversationId
    token: str
    fence: int = 0

    @classmethod
    def new(cls, tenant: str, conversation_id: ConversationId) -> Lease:
        return cls(tenant, conversation_id, secrets.token_hex(16))


class ConversationLocks(Protocol):
    """Held for the whole of a turn. Nobody waits: who comes second is told so at once."""

    async def acquire(self, tenant: str, conversation_id: ConversationId) -> Lease:
        """Raises Conflict while another holds it."""
        ...

    async def is_held(self, tenant: str, conversation_id: ConversationId) -> bool:
        """By anybody. To look changes nothing: who was late to renew a lease still can."""
        ...

    def release(self, lease: Lease) -> None:
        """Never waits. Doing it twice, or after `committed`, does nothing."""
        ...

    def committed(self, lease: Lease) -> None:
        """The store let go of the lease in the same step as it took the turn. May be called from any thread."""
        ...

    def close(self) -> None: ...


@asynccontextmanager
async def holding(locks: ConversationLocks, tenant: str, conversation_id: ConversationId) -> AsyncIterator[Lease]:
    lease = await locks.acquire(tenant, conversation_id)
    try:
        yield lease
    finally:
        locks.release(lease)


def locked(retry_after_seconds: int = 1) -> Conflict:
    """A turn's end cannot be foreseen, but it costs little to ask again."""
    error = Conflict(
        "Another turn of this conversation is running; wait for its end, or cancel it.",
        code="conversation_locked",
        param="conversation",
    )
    error.retry_after_seconds = retry_after_seconds
    return error


class LocalLocks:
    """For a server that has its conversations to itself."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, ConversationId], Lease] = {}

    async def acquire(self, tenant: str, conversation_id: ConversationId) -> Lease:
        lease = Lease.new(tenant, conversation_id)
        if self._held.setdefault((tenant, conversation_id), lease) is not lease:
            raise locked()
        return lease

    async def is_held(self, tenant: str, conversation_id: ConversationId) -> bool:
        return (tenant, conversation_id) in self._held

    def release(self, lease: Lease) -> None:
        if self._held.get((lease.tenant, lease.conversation_id)) is lease:
            del self._held[lease.tenant, lease.conversation_id]

    committed = release

    def close(self) -> None:
        self._held.clear()
