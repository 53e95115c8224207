"""Who asks, and how much of the server they may have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """None for as much as there is. `turns_at_once`: those that run and those that wait, together."""

    turns_at_once: int | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """`tenant` is the namespace of a caller's conversations and saved state. Only the server says which."""

    tenant: str = ""
    limits: Limits = Limits()
