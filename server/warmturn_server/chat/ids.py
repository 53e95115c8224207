"""Names of things, one type each; all are made here and never taken from a request body."""

from __future__ import annotations

import secrets
from typing import NewType

ConversationId = NewType("ConversationId", str)
TurnId = NewType("TurnId", str)
"""Also the id of the response that the turn gave; clients require the prefix `resp_`."""
ItemId = NewType("ItemId", str)


def new_conversation_id() -> ConversationId:
    return ConversationId(f"conv_{secrets.token_hex(24)}")


def new_turn_id() -> TurnId:
    return TurnId(f"resp_{secrets.token_hex(24)}")


def new_item_id() -> ItemId:
    return ItemId(f"msg_{secrets.token_hex(24)}")
