"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["good", "slow", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice`: why it is slow or will not work, and what to do about it."""

    name: str
    value: str
    verdict: Verdict = "good"
    advice: str | None = None


def slow(name: str, value: str, advice: str) -> Finding:
    return Finding(name, value, "slow", advice)


def problem(name: str, value: str, advice: str) -> Finding:
    return Finding(name, value, "problem", advice)


def in_gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"
