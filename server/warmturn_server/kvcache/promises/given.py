"""The promises that hold now, and which blocks are theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from ...engine_api.promise import PIN
from ..keys import BlockKey
from .ledger import Promise


class Given:
    """Those that are settled, one a name, and those that wait for their state to be saved. Not locked."""

    def __init__(self, settled: Mapping[str, Promise]) -> None:
        self.settled = dict(settled)
        self.pending: dict[str, Promise] = {}

    def __iter__(self) -> Iterator[Promise]:
        yield from self.settled.values()
        yield from self.pending.values()

    @property
    def sizes(self) -> dict[BlockKey, int]:
        """Of all blocks that are to stay: what several promise together is there once."""
        return {key: size for promise in self for key, size in promise.sizes.items()}

    @property
    def num_bytes(self) -> int:
        return sum(self.sizes.values())

    @property
    def num_pins(self) -> int:
        return sum(name.startswith(PIN) for name in self.settled)

    def holding(self, keys: Collection[BlockKey]) -> list[Promise]:
        """The promises that any of these blocks is part of."""
        return [promise for promise in self if not promise.until.keys().isdisjoint(keys)]

    def unheld(self, keys: Iterable[BlockKey]) -> list[BlockKey]:
        """Those of the keys that no promise has any more."""
        held = set[BlockKey]().union(*(promise.until for promise in self))
        return [key for key in keys if key not in held]

    def drop_empty(self) -> None:
        """Promises of which nothing is left to keep."""
        self.settled = {name: promise for name, promise in self.settled.items() if promise.until}
        self.pending = {name: promise for name, promise in self.pending.items() if promise.until}

    def earlier_of_its_owner(self, promise: Promise) -> list[Promise]:
        """Turns before this one, of the same conversation, or of none."""
        if promise.name.startswith(PIN):
            return []
        return [
            other
            for other in self.settled.values()
            if other is not promise and other.owner == promise.owner and not other.name.startswith(PIN)
        ]
