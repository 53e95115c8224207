"""Memory for an own server that shall not hold all of its conversations."""

from warmturn.bench.script import Script

_OF_ALL = 6
"""Resident state and main memory hold one part in so many, each."""


def small_memory(scripts: list[Script], clients: int, kv_bytes_per_token: int) -> tuple[str, ...]:
    """Flags of `warmturn serve`: enough for the turns that run at a time, far too little for all conversations."""
    longest = max(script.tokens for script in scripts)
    share = sum(script.tokens for script in scripts) // _OF_ALL
    running = round(1.3 * clients * (longest + 64))
    return (
        "--kv-memory",
        str(max(running, share) * kv_bytes_per_token),
        "--ram-cache",
        str(share * kv_bytes_per_token),
    )


def share_in_memory(flags: tuple[str, ...], scripts: list[Script], kv_bytes_per_token: int) -> float:
    held = int(flags[1]) + int(flags[3])
    return held / (sum(script.tokens for script in scripts) * kv_bytes_per_token)
