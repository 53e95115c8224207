"""What is remembered of logits so that they can be compared later: a sketch of each position, not the logits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

SKETCH_DIM = 256
_SEED = 0


class LogitSketch:
    """Random signs, summed into `SKETCH_DIM` buckets: distances between sketches are those between the logits.

    The squared distance is right on average (AMS sketch), within about 9% for one position and less over several; a
    position costs one kilobyte whatever the vocabulary.
    """

    def __init__(self, vocab_size: int, device: torch.device) -> None:
        signs = torch.randint(2, (vocab_size,), generator=torch.Generator().manual_seed(_SEED)) * 2 - 1
        self._signs = signs.float().to(device)
        self._padding = -vocab_size % SKETCH_DIM
        self._scale = 1 / math.sqrt(vocab_size)

    def of(self, logits: torch.Tensor) -> torch.Tensor:
        """`[positions, vocabulary]` -> `[positions, SKETCH_DIM + 1]`; the last column is the logits' spread.

        Each by itself: the same logits have the same bits here whatever is beside them.
        """
        return torch.stack([self._of(row) for row in logits]).cpu()

    def _of(self, logits: torch.Tensor) -> torch.Tensor:
        signed = functional.pad(logits * self._signs, (0, self._padding))
        buckets = signed.view(-1, SKETCH_DIM).sum(0) * self._scale
        return torch.cat([buckets, logits.std(-1, keepdim=True)])


class WatchedLogits:
    """Sketches of the logits at the positions `[first, stop)` of one sequence, as they come by."""

    def __init__(self, sketch: LogitSketch, first: int, stop: int) -> None:
        self._sketch = sketch
        self._first = first
        self._stop = stop
        self.seen: dict[int, torch.Tensor] = {}

    def rows(self, start: int, count: int) -> range:
        """Which rows of a chunk of `count` tokens from position `start` on are watched."""
        return range(min(max(self._first - start, 0), count), max(min(self._stop - start, count), 0))

    def record(self, positions: Sequence[int], logits: torch.Tensor) -> None:
        """Remember logits `[positions, vocabulary]`."""
        if positions:
            self.seen.update(zip(positions, self._sketch.of(logits), strict=True))

    def deviation(self, reference: WatchedLogits) -> float | None:
        """Root mean square difference of the logits in units of their spread; None where no position is in both."""
        common = sorted(self.seen.keys() & reference.seen.keys())
        if not common:
            return None
        mine = torch.stack([self.seen[position] for position in common])
        theirs = torch.stack([reference.seen[position] for position in common])
        squares = (mine - theirs)[:, :SKETCH_DIM].square().sum(-1)
        value = float((squares / theirs[:, SKETCH_DIM].square().clamp_min(1e-30)).mean().sqrt())
        return value if math.isfinite(value) else math.inf

    @property
    def finite(self) -> bool:
        return all(bool(row.isfinite().all()) for row in self.seen.values())
