"""Conversations: items, the log, and the way from messages to the token ids of record."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from .conversations import Conversations, Warming
from .engine_port import Generating, TurnEngine
from .ids import ConversationId, ItemId, TurnId, new_item_id
from .items import Item, Role
from .log import Log, open_local_log
from .redis_opening import open_shared_log
from .requests import TurnRequest
from .running_turn import RunningTurn
from .service import ChatService
from .sqlite_store import SqliteStore
from .store import Append, ConversationStore, Forgotten, LogStatus, Page, StoreCorrupt, StoreFailed, VersionConflict
from .tokenizer import TextTokenizer
from .transcript import Transcriber
from .turns import Conversation, Reply, Turn

__all__ = [
    "Append",
    "ChatService",
    "Conversation",
    "ConversationId",
    "ConversationStore",
    "Conversations",
    "Forgotten",
    "Generating",
    "Item",
    "ItemId",
    "Log",
    "LogStatus",
    "Page",
    "Reply",
    "Role",
    "RunningTurn",
    "SqliteStore",
    "StoreCorrupt",
    "StoreFailed",
    "TextTokenizer",
    "Transcriber",
    "Turn",
    "TurnEngine",
    "TurnId",
    "TurnRequest",
    "VersionConflict",
    "Warming",
    "build_service",
    "new_item_id",
    "open_local_log",
    "open_shared_log",
]


def build_service(log: Log, engine: TurnEngine, tokenizer: PreTrainedTokenizerBase) -> ChatService:
    """The chat layer over an open log; closing it closes the log."""
    return ChatService(log.store, engine, Transcriber(TextTokenizer(tokenizer)), log.locks, log.notices)
