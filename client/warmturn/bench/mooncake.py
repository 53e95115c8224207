"""Mooncake's traces: one request a line, its prompt as hashes of blocks of 512 tokens, each with all before it.

`{"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [...]}`, from the FAST'25 release of
https://github.com/kvcache-ai/Mooncake. Conversations are not named there: a request that begins with all whole blocks
of an earlier one, and is long enough to hold its answer too, is taken for that one's next turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from warmturn.bench.traced import TracedConversation, TracedTurn
from warmturn.errors import SettingsError

_BLOCK_TOKENS = 512
_LENGTHS = ("input_length", "output_length")


def is_mooncake(entry: dict[str, Any]) -> bool:
    return any(name in entry for name in (*_LENGTHS, "hash_ids"))


@dataclass(frozen=True, slots=True)
class _Request:
    input_length: int
    output_length: int
    whole_blocks: tuple[int, ...]


@dataclass(slots=True)
class _Chain:
    """One conversation while it is put together."""

    last: _Request
    turns: list[TracedTurn] = field(default_factory=list)


def mooncake_conversations(path: Path, found: Sequence[tuple[int, dict[str, Any]]]) -> list[TracedConversation]:
    chains: list[_Chain] = []
    by_blocks: dict[tuple[int, ...], list[_Chain]] = {}
    for line, entry in found:
        request = _request(path, line, entry)
        chain = _goes_on(by_blocks, request)
        if chain is None:
            chains.append(chain := _Chain(request))
            chain.turns.append(TracedTurn(request.input_length, request.output_length))
        else:
            new = request.input_length - chain.last.input_length - chain.last.output_length
            chain.turns.append(TracedTurn(max(new, 1), request.output_length))
            chain.last = request
        if request.whole_blocks:
            by_blocks.setdefault(request.whole_blocks, []).append(chain)
    return [TracedConversation(tuple(chain.turns)) for chain in chains]


def _goes_on(by_blocks: dict[tuple[int, ...], list[_Chain]], request: _Request) -> _Chain | None:
    """The conversation that shares the most blocks; it is taken from the list, for it goes on only once."""
    for length in range(len(request.whole_blocks), 0, -1):
        waiting = by_blocks.get(request.whole_blocks[:length], [])
        for chain in reversed(waiting):
            if chain.last.input_length + chain.last.output_length <= request.input_length:
                waiting.remove(chain)
                return chain
    return None


def _request(path: Path, line: int, entry: dict[str, Any]) -> _Request:
    for name in _LENGTHS:
        if not isinstance(entry.get(name), int) or entry[name] < 0:
            raise SettingsError(f"{path}:{line}: {name} must be a number of tokens, not {entry.get(name)!r}")
    blocks = entry.get("hash_ids", [])
    if not isinstance(blocks, list) or not all(isinstance(one, int) for one in blocks):
        raise SettingsError(f"{path}:{line}: hash_ids must be a list of numbers")
    return _Request(
        entry["input_length"], entry["output_length"], tuple(blocks[: entry["input_length"] // _BLOCK_TOKENS])
    )
