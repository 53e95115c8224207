"""What a caller asks for in one turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..engine import ReuseMode, SamplingParams
from .ids import ConversationId, TurnId
from .items import Item


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """New `input`, on top of a conversation, of an earlier response, or of nothing.

    `stored`: the response may be asked for by its id later. `lookback`: say what the reply looked at. `echo`: request
    fields that the response object repeats.
    """

    input: tuple[Item, ...]
    tenant: str = ""
    conversation_id: ConversationId | None = None
    previous_response_id: TurnId | None = None
    instructions: str | None = None
    sampling: SamplingParams = SamplingParams()
    reuse: ReuseMode = ReuseMode.STATE
    stored: bool = False
    lookback: bool = False
    echo: Mapping[str, object] = field(default_factory=dict)
