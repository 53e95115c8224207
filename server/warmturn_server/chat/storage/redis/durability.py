"""Whether a Redis keeps what it was told, through a crash and when its memory is full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import redis

_ASKED = ("appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy")


@dataclass(frozen=True, slots=True)
class Durability:
    """What Redis says about itself; None where it does not say (managed ones hide CONFIG, ACLs may forbid it)."""

    appendonly: str | None
    appendfsync: str | None
    save: str | None
    maxmemory: int | None
    maxmemory_policy: str | None
    waitaof: bool
    """Whether WAITAOF works here (Redis 7.2 and later, append-only file on): each commit then waits for the disk."""

    @property
    def verdict(self) -> tuple[bool | None, str]:
        """Whether an acknowledged turn is safe, and why."""
        evicting = self.maxmemory != 0 and (self.maxmemory_policy or "").startswith("allkeys")
        if evicting:
            return False, f"maxmemory-policy {self.maxmemory_policy} may evict the log; set noeviction"
        if self.appendonly == "no":
            kept = "snapshots alone lose the turns since the last one" if self.save else "a restart loses everything"
            return False, f"appendonly is off: {kept}; set appendonly yes and appendfsync always"
        if self.waitaof:
            return True, "each turn waits until its append-only file is synced (WAITAOF)"
        if self.appendfsync in ("everysec", "no"):
            lost = "the last second" if self.appendfsync == "everysec" else "what the system had not written yet"
            return False, f"appendfsync {self.appendfsync}: a crash of the machine loses {lost}; set appendfsync always"
        if self.appendonly == "yes" and self.appendfsync == "always":
            return True, "each write is synced before its answer (appendfsync always)"
        return None, "Redis does not tell its settings (CONFIG is not allowed); set appendonly yes, appendfsync always"

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def ask(client: redis.Redis) -> Durability:
    """Raises `redis.RedisError` when it cannot be reached."""
    found = _config(client)
    appendonly, waitaof = _waitaof(client)
    maxmemory = found.get("maxmemory")
    return Durability(
        appendonly=found.get("appendonly") or appendonly,
        appendfsync=found.get("appendfsync"),
        save=found.get("save"),
        maxmemory=int(maxmemory) if maxmemory is not None else None,
        maxmemory_policy=found.get("maxmemory-policy"),
        waitaof=waitaof,
    )


def _config(client: redis.Redis) -> Mapping[str, str]:
    pipeline = client.pipeline(transaction=False)
    for name in _ASKED:
        pipeline.execute_command("CONFIG GET", name)  # type: ignore[no-untyped-call]
    found: dict[str, str] = {}
    for reply in pipeline.execute(raise_on_error=False):
        if isinstance(reply, dict):
            found |= {_text(name): _text(value) for name, value in reply.items()}
    return found


def _waitaof(client: redis.Redis) -> tuple[str | None, bool]:
    """What its answer says about `appendonly`, and whether it can be waited with."""
    try:
        client.execute_command("WAITAOF", 1, 0, 1)  # type: ignore[no-untyped-call]
    except redis.ResponseError as error:
        return ("no" if "appendonly is disabled" in str(error) else None), False
    return "yes", True


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
