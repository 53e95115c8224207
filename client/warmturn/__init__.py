"""Warmturn's client: conversations whose model state the server keeps.

with warmturn.Client() as client:
    conversation = client.conversations.create()
    print(client.respond("Hello!", conversation=conversation.id).text)
"""

from warmturn.client import Client, Readiness
from warmturn.conversations import Conversations
from warmturn.errors import ApiError, FileError, ProtocolError, ServerUnreachable, SettingsError, WarmturnError
from warmturn.lookback import AtDepth, LayerLooks, Look, Lookback, Seen, Source
from warmturn.report import Control, Drafts, Miss, Reading, Rewrite, TurnReport
from warmturn.stream import Event, ReasoningDelta, TextDelta, TurnEnded, TurnStarted, TurnStream
from warmturn.wire import (
    REUSE_MODES,
    Call,
    Conversation,
    Imported,
    Item,
    LoggedTurn,
    Message,
    Model,
    Pin,
    ReuseMode,
    Tokens,
    Turn,
    TurnOptions,
    Warming,
)

__all__ = [
    "REUSE_MODES",
    "ApiError",
    "AtDepth",
    "Call",
    "Client",
    "Control",
    "Conversation",
    "Conversations",
    "Drafts",
    "Event",
    "FileError",
    "Imported",
    "Item",
    "LayerLooks",
    "LoggedTurn",
    "Look",
    "Lookback",
    "Message",
    "Miss",
    "Model",
    "Pin",
    "ProtocolError",
    "Readiness",
    "Reading",
    "ReasoningDelta",
    "ReuseMode",
    "Rewrite",
    "Seen",
    "ServerUnreachable",
    "SettingsError",
    "Source",
    "TextDelta",
    "Tokens",
    "Turn",
    "TurnEnded",
    "TurnOptions",
    "TurnReport",
    "TurnStarted",
    "TurnStream",
    "Warming",
    "WarmturnError",
]
