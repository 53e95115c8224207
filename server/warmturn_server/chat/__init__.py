"""Conversations: items, the log, and the way from messages to the token ids of record."""

from __future__ import annotations

from ..engine_api.engine import Generating, TurnEngine
from .ahead import AheadOf
from .bare import BarePrompt, BareReplies
from .begun import Begun
from .calls.calling import Calling
from .calls.choice import calling_of
from .calls.formats import FORMATS as CALL_FORMATS
from .choices import MOST_CHOICES, Choices, interleaved
from .conversations import Conversations, Prefetch
from .model import (
    CacheWishes,
    Conversation,
    ConversationId,
    Item,
    ItemId,
    PromptEnd,
    Reply,
    Role,
    TemplateOptions,
    Tokens,
    Tool,
    Turn,
    TurnId,
    TurnRequest,
    new_item_id,
)
from .parts import Mark, Part, PartDelta, Reasoning, Text, ToolCall, ToolResult
from .principal import Limits, Principal
from .reply_delta import ReplyDelta
from .reply_parser import ReplyParser, TextOnly
from .running_turn import RunningTurn
from .service import ChatService, Peers
from .storage.backend import Storage, open_local_storage
from .storage.redis.open import open_shared_storage
from .storage.sqlite.store import SqliteStore
from .storage.store import (
    Append,
    ConversationStore,
    Forgotten,
    LogStatus,
    Page,
    StoreCorrupt,
    StoreFailed,
    StoreFull,
    VersionConflict,
)
from .thinking.choice import style_of
from .thinking.formats import FORMATS
from .thinking.parser import Style, ThinkingParser
from .tool_rules import ToolRules
from .transcript.tokenizer import TextTokenizer
from .transcript.transcript import Transcriber
from .unstored import UnstoredTurns

__all__ = [
    "CALL_FORMATS",
    "FORMATS",
    "MOST_CHOICES",
    "AheadOf",
    "Append",
    "BarePrompt",
    "BareReplies",
    "Begun",
    "CacheWishes",
    "Calling",
    "ChatService",
    "Choices",
    "Conversation",
    "ConversationId",
    "ConversationStore",
    "Conversations",
    "Forgotten",
    "Generating",
    "Item",
    "ItemId",
    "Limits",
    "LogStatus",
    "Mark",
    "Page",
    "Part",
    "PartDelta",
    "Peers",
    "Prefetch",
    "Principal",
    "PromptEnd",
    "Reasoning",
    "Reply",
    "ReplyDelta",
    "ReplyParser",
    "Role",
    "RunningTurn",
    "SqliteStore",
    "Storage",
    "StoreCorrupt",
    "StoreFailed",
    "StoreFull",
    "Style",
    "TemplateOptions",
    "Text",
    "TextOnly",
    "TextTokenizer",
    "ThinkingParser",
    "Tokens",
    "Tool",
    "ToolCall",
    "ToolResult",
    "ToolRules",
    "Transcriber",
    "Turn",
    "TurnEngine",
    "TurnId",
    "TurnRequest",
    "UnstoredTurns",
    "VersionConflict",
    "build_service",
    "calling_of",
    "interleaved",
    "new_item_id",
    "open_local_storage",
    "open_shared_storage",
    "style_of",
]


def build_service(
    storage: Storage,
    engine: TurnEngine,
    tokenizer: TextTokenizer,
    style: Style | None,
    calling: Calling | None,
    ahead: AheadOf,
    unstored_ttl_seconds: float,
) -> ChatService:
    """The chat layer over an open storage; closing it closes the storage. `style`: how the model thinks, if it does,
    `calling`: how it calls functions."""
    transcriber = Transcriber(tokenizer)
    unstored = UnstoredTurns(unstored_ttl_seconds)
    peers = Peers(storage.locks, storage.invalidations)
    return ChatService(storage.store, engine, transcriber, peers, style, ahead, unstored, calling)
