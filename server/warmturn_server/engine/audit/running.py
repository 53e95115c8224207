"""A control turn while it is computed once more."""

from __future__ import annotations

from dataclasses import dataclass

from ..sequence import Sequence
from .control import ControlTurn
from .logit_sketch import WatchedLogits
from .verdict import Audit, Replay


@dataclass(slots=True)
class Running:
    """A control turn under way, and its present replay; how long the whole prompt took, and then once more its end.

    `measures_end`: computed as the turn itself did, from where state was on, to be timed on this idle machine too.
    """

    turn: ControlTurn
    audit: Audit
    replay: Replay
    sequence: Sequence
    watch: WatchedLogits
    whole_seconds: float = 0.0
    end_seconds: float = 0.0
    measures_end: bool = False

    @property
    def num_prompt_tokens(self) -> int:
        return len(self.turn.request.token_ids)

    @property
    def is_over(self) -> bool:
        if self.measures_end:
            return self.sequence.kv.length == self.num_prompt_tokens
        return not self.sequence.num_pending

    def took(self, seconds: float) -> None:
        """A chunk of the prompt."""
        if self.measures_end:
            self.end_seconds += seconds
        else:
            self.whole_seconds += seconds
