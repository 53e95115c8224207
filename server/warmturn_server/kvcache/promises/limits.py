"""What can be promised at all, and why the rest is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...errors import PromiseRefused
from ..keys import BlockKey
from .given import Given
from .ledger import Promise


class _Tier(Protocol):
    def contains(self, keys: Sequence[BlockKey]) -> list[bool]: ...

    def has_room(self, num_bytes: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many bytes at a time, none of them for longer than so many seconds; while the tier `is_up`."""

    budget_bytes: int
    longest_seconds: int
    is_up: Callable[[], bool] = lambda: True

    def check(self, promise: Promise, given: Given, tier: _Tier, moment: float) -> None:
        """Raises `PromiseRefused` with what to do."""
        if not self.budget_bytes:
            raise PromiseRefused(
                "This server promises no lifetime: leave the ttl out, and state stays as long as the budgets of its "
                "tiers allow. Promises need state on disk (--disk-cache) and a budget (--promise-budget)."
            )
        if promise.ends - moment > self.longest_seconds + 1:
            raise PromiseRefused(
                f"This server promises no more than {self.longest_seconds:,} seconds (--promise-longest): ask for less."
            )
        self._check_budget(promise, given, moment)
        if not self.is_up() or not tier.has_room(_absent_bytes(promise, tier)):
            raise PromiseRefused(
                "The disk does not take this state now, it is full or fails: leave the ttl out, or make room on it.",
                is_full=True,
            )

    def _check_budget(self, promise: Promise, given: Given, moment: float) -> None:
        held = given.sizes
        held_bytes = sum(held.values())
        new_bytes = sum(size for key, size in promise.sizes.items() if key not in held)
        if held_bytes + new_bytes <= self.budget_bytes:
            return
        if promise.num_bytes > self.budget_bytes:
            raise PromiseRefused(
                f"The state of this prompt takes {promise.num_bytes:,} bytes, and this server promises "
                f"{self.budget_bytes:,} at most in all (--promise-budget): leave the ttl out, or mark less of it."
            )
        first = min(other.ends for other in given)
        raise PromiseRefused(
            f"The budget of promises is used up: {held_bytes:,} of {self.budget_bytes:,} bytes are promised "
            f"(--promise-budget), and this takes {new_bytes:,} more. Leave the ttl out, release a pin, or come again "
            "when a promise runs out.",
            is_full=True,
            retry_after_seconds=max(int(first - moment) + 1, 1),
        )


def _absent_bytes(promise: Promise, tier: _Tier) -> int:
    here = zip(promise.sizes.items(), tier.contains(list(promise.sizes)), strict=True)
    return sum(size for (_, size), is_there in here if not is_there)
