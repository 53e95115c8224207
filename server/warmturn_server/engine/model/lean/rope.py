"""Rotations by position, computed once and looked up at every step."""

from __future__ import annotations

import torch

from .description import Rope

_AHEAD = 2048


class RopeTable:
    """cos, and sin with the sign that its half takes, of all positions so far: each `[positions, rotated_dim]`."""

    def __init__(self, rope: Rope, most: int) -> None:
        """No position is ever `most` or more."""
        self._rope = rope
        self._most = most
        self.cos = self.sin = torch.empty(0, 0)

    def cover(self, stop: int) -> None:
        """Have the positions below `stop`."""
        if len(self.cos) >= stop:
            return
        upto = min(-(-stop // _AHEAD) * _AHEAD, max(self._most, stop))
        cos, sin = self._rope(torch.arange(upto))
        half = sin.shape[1] // 2
        self.cos, self.sin = cos.contiguous(), torch.cat([-sin[:, :half], sin[:, half:]], dim=1)

    def rotate(self, x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """`[tokens, heads, dim]`, its first numbers as far as the table has some, by positions `[tokens]`."""
        cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
        dim = cos.shape[2]
        if dim < x.shape[2]:
            return torch.cat([_rotated(x[..., :dim], cos, sin), x[..., dim:]], dim=-1)
        return _rotated(x, cos, sin)


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    return torch.addcmul(x * cos, x.roll(x.shape[2] // 2, -1), sin)
