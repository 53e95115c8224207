"""One change at a time for each conversation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import Conflict
from .ids import ConversationId


class ConversationLocks:
    """Held for the whole of a turn. Nobody waits: who comes second is told so at once."""

    def __init__(self) -> None:
        self._held: set[tuple[str, ConversationId]] = set()

    def acquire(self, tenant: str, conversation_id: ConversationId) -> None:
        if (tenant, conversation_id) in self._held:
            raise Conflict(
                "Another turn of this conversation is running; wait for its end, or cancel it.",
                code="conversation_locked",
                param="conversation",
            )
        self._held.add((tenant, conversation_id))

    def release(self, tenant: str, conversation_id: ConversationId) -> None:
        self._held.discard((tenant, conversation_id))

    @contextmanager
    def holding(self, tenant: str, conversation_id: ConversationId) -> Iterator[None]:
        self.acquire(tenant, conversation_id)
        try:
            yield
        finally:
            self.release(tenant, conversation_id)
