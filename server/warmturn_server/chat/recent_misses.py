"""The latest turns whose reuse stopped early, for `/v1/stats`; each tenant sees its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from .model import ConversationId, Turn, TurnId

_REMEMBERED: Final = 256
_SHOWN: Final = 32


class RecentMisses:
    """Bounded, in memory: the reports in the log are what lasts."""

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()

    def note(self, turn: Turn) -> None:
        """Remember the turn if it had a miss."""
        if turn.reply and turn.reply.report.get("miss"):
            with self._lock:
                self._turns.append(turn)

    def of(self, tenant: str) -> list[dict[str, object]]:
        """Newest first."""
        with self._lock:
            own = [turn for turn in reversed(self._turns) if turn.tenant == tenant]
        return [_entry(turn) for turn in own[:_SHOWN]]

    def forget_conversation(self, tenant: str, conversation_id: ConversationId) -> None:
        self._drop(lambda turn: (turn.tenant, turn.conversation_id) == (tenant, conversation_id))

    def forget_turn(self, tenant: str, turn_id: TurnId) -> None:
        self._drop(lambda turn: (turn.tenant, turn.id) == (tenant, turn_id))

    def _drop(self, leaves: Callable[[Turn], bool]) -> None:
        """What was deleted must not be read here: a miss quotes the texts."""
        with self._lock:
            self._turns = deque((turn for turn in self._turns if not leaves(turn)), _REMEMBERED)


def _entry(turn: Turn) -> dict[str, object]:
    assert turn.reply is not None, "only answered turns are remembered"
    return {
        "conversation": turn.conversation_id,
        "response": turn.id,
        "at": turn.reply.completed_at,
        **_as_dict(turn.reply.report["miss"]),
    }


def _as_dict(miss: object) -> dict[str, object]:
    return dict(miss) if isinstance(miss, dict) else {}
