"""Conversations as files: out of this server, and into it."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from dataclasses import replace
from functools import partial
from typing import Final

from ...engine_api.carrier import StateCarrier
from ...errors import NotFound, Overloaded
from ..history import conversation_not_found
from ..model import Conversation, ConversationId, new_conversation_id
from ..storage.store import ConversationExists, ConversationStore
from .adoption import appends_of
from .head import Head, PartKind, read_head
from .incoming import Incoming
from .outgoing import Outgoing, outgoing
from .refusal import FileRefused
from .signing import FileKeys
from .words import words_of, written

_MOST_OPEN: Final = 4
"""The words of each are in memory."""
_KEPT_BYTES_A_BYTE: Final = 4
"""What the log needs for a byte of words, at most."""
_ID: Final = re.compile(r"conv_[A-Za-z0-9]{1,64}")


class ConversationFiles:
    """Takes milliseconds to minutes, so call it off the event loop."""

    def __init__(
        self, store: ConversationStore, carrier: StateCarrier, keys: FileKeys, model: str, max_bytes: int
    ) -> None:
        """`max_bytes`: of a file that is taken in; 0 where none is."""
        self._store = store
        self._carrier = carrier
        self._keys = keys
        self._model = model
        self._max_bytes = max_bytes
        self._imports: dict[str, Incoming] = {}
        self._lock = threading.Lock()

    def outgoing(self, tenant: str, conversation_id: ConversationId, *, with_state: bool) -> Outgoing:
        """Raises `NotFound`, and `FileRefused` for one that is too large for a file."""
        opened = self._store.open_conversation(tenant, conversation_id)
        if opened is None:
            raise conversation_not_found(conversation_id)
        words = words_of(opened)
        computed = words.record().token_ids[:-1]
        state = self._carrier.leaving(tenant, computed) if with_state and computed else None
        sign = partial(self._keys.sign, conversation_id, self._model, self._carrier.fingerprint)
        return outgoing(conversation_id, written(words), state, sign)

    def open(self, tenant: str, head: bytes, *, keep_id: bool) -> Incoming:
        """By what a file begins with. The same again goes on where it was, unless it was completed: then it is another.

        Raises `FileRefused`, and `ConversationExists` where the file's own id is asked for and taken.
        """
        name = f"imp_{hashlib.sha256(repr((tenant, keep_id)).encode() + head).hexdigest()[:48]}"
        with self._lock:
            self._drop_old()
            if name not in self._imports or self._imports[name].conversation is not None:
                self._imports[name] = self._begun(name, tenant, head, keep_id=keep_id)
            return self._imports[name]

    def incoming(self, tenant: str, name: str) -> Incoming:
        """Raises `NotFound`."""
        with self._lock:
            self._drop_old()
            found = self._imports.get(name)
        if found is None or found.tenant != tenant:
            raise NotFound(
                f"There is no import '{name}' here, or nothing was heard of it for too long: begin it again.",
                code="import_not_found",
            )
        return found

    def complete(self, incoming: Incoming) -> None:
        """All of it is in the log now, or nothing. Doing it twice is the same as doing it once."""
        with incoming.lock:
            if incoming.conversation is not None:
                return
            words, now = incoming.words, int(time.time())
            name = incoming.asked_id or new_conversation_id()
            appends = appends_of(words, incoming.tenant, name)
            created_at = words.created_at or now
            conversation = Conversation(name, created_at, now, words.metadata, tenant=incoming.tenant)
            if appends:
                self._store.take_in(replace(conversation, head=appends[-1].turn.id), appends)
            else:
                self._refuse_if_taken(incoming.tenant, name)
                self._store.create(conversation)
            incoming.landed(name)

    def abandon(self, incoming: Incoming) -> None:
        """Nothing of it stays, unless it was completed."""
        with self._lock:
            self._imports.pop(incoming.name, None)
        with incoming.lock:
            incoming.abandon()

    def _begun(self, name: str, tenant: str, content: bytes, *, keep_id: bool) -> Incoming:
        head = read_head(content)
        if head.total_bytes > self._max_bytes:
            raise FileRefused(
                "file_too_large",
                f"The file has {head.total_bytes:,} bytes; this server takes {self._max_bytes:,} "
                "(WARMTURN_MAX_IMPORT).",
            )
        trust = self._keys.trust(head)
        words_bytes = sum(part.num_bytes for part in head.parts if part.kind is not PartKind.BLOCK)
        self._store.refuse_if_full(_KEPT_BYTES_A_BYTE * words_bytes)
        asked_id = _own_id(head) if keep_id else None
        if asked_id:
            self._refuse_if_taken(tenant, asked_id)
        if sum(one.conversation is None for one in self._imports.values()) >= _MOST_OPEN:
            raise Overloaded(f"{_MOST_OPEN} files are being taken in already; try again later")
        return Incoming(name, tenant, head, trust, self._carrier, asked_id)

    def _refuse_if_taken(self, tenant: str, name: ConversationId) -> None:
        if self._store.conversation(tenant, name):
            raise ConversationExists(name)

    def _drop_old(self) -> None:
        for one in [one for one in self._imports.values() if one.is_over]:
            del self._imports[one.name]
            one.abandon()


def _own_id(head: Head) -> ConversationId:
    name = head.header.conversation
    if not _ID.fullmatch(name):
        raise FileRefused(
            "file_damaged", "The id that the conversation had cannot be kept: it is none that is given here."
        )
    return ConversationId(name)
