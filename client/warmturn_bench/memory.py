"""Memory for an own server that shall not hold all of its conversations."""

from collections.abc import Sequence
from dataclasses import dataclass

from warmturn_bench.workload.script import Script

_OF_ALL = 6
"""Resident state and main memory hold one part in so many, each."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Tokens of state that there is room for; `share` is how much of all conversations that is."""

    resident_tokens: int
    ram_tokens: int
    share: float

    @property
    def in_words(self) -> str:
        """For the notes of a run."""
        if self.share >= 1:
            return "The server's memory holds all of the conversations' state: they are too few for this scenario."
        return f"The server's memory holds {self.share:.0%} of the conversations' state; the rest is on disk."

    def flags(self, kv_bytes_per_token: int) -> tuple[str, ...]:
        """Of `warmturn serve`."""
        sizes = {"--kv-memory": self.resident_tokens, "--ram-cache": self.ram_tokens}
        return tuple(word for flag, tokens in sizes.items() for word in (flag, str(tokens * kv_bytes_per_token)))


def small_memory(scripts: Sequence[Script], clients: int) -> Memory:
    """Enough for the turns that run at a time, far too little for all conversations."""
    everything = sum(script.tokens for script in scripts)
    part = everything // _OF_ALL
    running = round(1.3 * clients * (max(script.tokens for script in scripts) + 64))
    resident = max(running, part)
    return Memory(resident, part, (resident + part) / everything)
