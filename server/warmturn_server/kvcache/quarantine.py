"""Saved state that gave wrong answers: not read again, and not written again by whoever has it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable

from .keys import BlockKey

_ROOTS = 1024
_SOUND_A_ROOT = 65_536


class Quarantine:
    """By root, the key of a chain's first block: whatever was saved behind a bad block was computed from it.

    After a breach nothing of that root is trusted but what was saved since, from state that was computed since. The
    list is this process's own; what the tiers held of the bad chain is removed from them.
    """

    def __init__(self) -> None:
        self.moment = 0
        self._since: OrderedDict[BlockKey, int] = OrderedDict()
        self._sound: dict[BlockKey, OrderedDict[tuple[str, BlockKey], None]] = {}
        self._lock = threading.Lock()

    def distrust(self, root: BlockKey) -> None:
        with self._lock:
            self.moment += 1
            self._since[root] = self.moment
            self._sound[root] = OrderedDict()
            if len(self._since) > _ROOTS:
                oldest, _ = self._since.popitem(last=False)
                del self._sound[oldest]

    def trusts(self, tier: str, root: BlockKey | None, key: BlockKey) -> bool:
        """Whether a block that a tier holds may be used."""
        with self._lock:
            return root is None or root not in self._since or (tier, key) in self._sound[root]

    def admits(self, root: BlockKey | None, moment: int) -> bool:
        """Whether state that was handed over for saving at `moment` may be saved."""
        with self._lock:
            return root is None or root not in self._since or moment >= self._since[root]

    def vouch(self, tier: str, root: BlockKey | None, keys: Iterable[BlockKey]) -> None:
        """These blocks were written anew, into this tier."""
        with self._lock:
            if root is not None and root in self._since:
                sound = self._sound[root]
                sound.update(dict.fromkeys((tier, key) for key in keys))
                while len(sound) > _SOUND_A_ROOT:
                    sound.popitem(last=False)

    def __contains__(self, root: BlockKey | None) -> bool:
        with self._lock:
            return root in self._since
