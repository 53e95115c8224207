"""A made-up machine, whose times are known: what a prefill takes, in steps that cost something besides."""

import math
import random
from dataclasses import dataclass
from typing import ClassVar

from warmturn_server.engine import CostModel
from warmturn_server.engine.model.effort import Effort

_CALIBRATION = ((64, 0), (512, 0), (8, 0), (512, 1536), (8, 512), (128, 0))


@dataclass(frozen=True, slots=True)
class Machine:
    """A step costs `step_tokens`, attention `attention` times its share of operations; `noise` is a log-normal's
    spread, and a share of `hiccups` takes three times as long."""

    step_tokens: float = 80
    attention: float = 1.6
    slower: float = 1.0
    noise: float = 0.0
    hiccups: float = 0.0
    token_seconds: float = 2e-4
    pair_cost: ClassVar[float] = 4.34e-4
    """The bundled model's."""

    def expected(self, num_tokens: int, context: int = 0) -> float:
        """Seconds of a prefill in steps of at most 512 tokens, without noise."""
        return self.takes(Effort.of(num_tokens, context, 512))

    def prefill(self, num_tokens: int, context: int = 0, chance: random.Random | None = None) -> float:
        """As it would be measured."""
        return self.takes(Effort.of(num_tokens, context, 512), chance)

    def takes(self, effort: Effort, chance: random.Random | None = None) -> float:
        """Without `chance` it takes what is expected."""
        pairs = effort.pairs * self.pair_cost * self.attention
        seconds = self.slower * self.token_seconds * (effort.steps * self.step_tokens + effort.tokens + pairs)
        if chance is None:
            return seconds
        return seconds * (3 if chance.random() < self.hiccups else 1) * math.exp(chance.gauss(0, self.noise))

    def calibrated(self, budget: int, chance: random.Random | None = None) -> CostModel:
        """What a server knows at its start."""
        model = CostModel(budget, self.pair_cost)
        for size, context in _CALIBRATION:
            model.observe(min(size, budget), context, self.prefill(min(size, budget), context, chance))
        return model
