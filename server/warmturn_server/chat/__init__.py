"""Conversations: items, the log, and the way from messages to the token ids of record."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from .conversations import Conversations, Warming
from .engine_port import Generating, TurnEngine
from .ids import ConversationId, ItemId, TurnId, new_item_id
from .items import Item, Role
from .requests import TurnRequest
from .running_turn import RunningTurn
from .service import ChatService
from .sqlite_store import SqliteStore
from .store import Append, ConversationStore, Forgotten, Page, StoreFailed, VersionConflict
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
    "Page",
    "Reply",
    "Role",
    "RunningTurn",
    "SqliteStore",
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
]


def build_service(data_dir: Path, engine: TurnEngine, tokenizer: PreTrainedTokenizerBase) -> ChatService:
    """The chat layer of a single server, its log in `data_dir`. Raises StartRefused with what to do."""
    store = SqliteStore(data_dir / "conversations.sqlite3")
    return ChatService(store, engine, Transcriber(TextTokenizer(tokenizer)))
