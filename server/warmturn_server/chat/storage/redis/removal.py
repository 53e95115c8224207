"""Deletes from the log in Redis, and lets go of what was waiting for that."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import redis

from ...model import ConversationId, TurnId
from ..store import Forgotten, StoreCorrupt
from .redaction import RedisRedaction
from .replies import Replies
from .scripts import Reply, Script, ScriptRunner
from .values import ConversationValues

_DELETE: Final = Script("delete")
_WITHDRAW: Final = Script("withdraw")
_ARRIVED: Final = Script("arrived")
_PURGE: Final = Script("purge")
_GET: Final = Script("get")
_OPEN: Final = Script("open")
_TURNS: Final = Script("turns")
_log = logging.getLogger(__name__)


class RedisRemoval:
    """All raise StoreFailed. What is damaged can be deleted too."""

    def __init__(
        self, scripts: ScriptRunner, values: ConversationValues, replies: Replies, redaction: RedisRedaction
    ) -> None:
        self._scripts = scripts
        self._values = values
        self._replies = replies
        self._redaction = redaction

    def of_conversation(self, tenant: str, name: ConversationId) -> list[Forgotten]:
        _, rows, *_ = self._scripts.read(_OPEN, tenant, name, 1)
        return [*self._removed(tenant, _DELETE, name), *self._redact(tenant, _owners(rows) - {name})]

    def of_response(self, tenant: str, turn_id: TurnId) -> list[Forgotten]:
        rows = self._scripts.read(_TURNS, tenant, turn_id)
        return [*self._removed(tenant, _WITHDRAW, turn_id), *self._redact(tenant, _owners(rows))]

    def purge(self, tenant: str) -> None:
        """What version 0.1.0 kept of turns that were not to be stored."""
        self._scripts.read(_PURGE, tenant)

    def _redact(self, tenant: str, names: Iterable[ConversationId]) -> list[Forgotten]:
        """What these conversations hide leaves their turns, now that less goes on from those."""
        forgotten: list[Forgotten] = []
        for name in names:
            try:
                conversation = self._values.read(tenant, name, self._scripts.read(_GET, tenant, name))
                forgotten += self._redaction.of(conversation) if conversation else []
            except StoreCorrupt as error:
                _log.error("items that were deleted earlier stay: %s", error)
        return forgotten

    def _removed(self, tenant: str, script: Script, name: str) -> list[Forgotten]:
        """Redis keeps its answer for who has to ask again, and lets it go when it has arrived: it quotes."""
        request = secrets.token_hex(8)
        removed = self._replies.removed(tenant, self._scripts.write(script, tenant, request, name))
        with suppress(redis.RedisError):
            self._scripts.try_once(_ARRIVED, tenant, request)
        return removed


def _owners(rows: Reply) -> set[ConversationId]:
    """The conversations that these turns were made in."""
    return {ConversationId(row[3].decode()) for row in rows if row[3]}
