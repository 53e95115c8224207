"""Mooncake's traces: one request a line, its prompt as hashes of blocks of 512 tokens, each with all before it.

`{"timestamp": ms, "input_length": tokens, "output_length": tokens, "hash_ids": [...]}`, from the FAST'25 release of
https://github.com/kvcache-ai/Mooncake. Conversations are not named there: a request that begins with all whole blocks
of an earlier one, and is long enough to hold its answer too, is taken for that one's next turn.

Replayed are the lengths and what prompts have in common: a block's words are made up from its hash, so that equal
hashes are equal words, and conversations that began alike begin alike. The answers are those of the model under test.
The moments of arrival (`timestamp`) are not replayed: turns come as the chosen load says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from warmturn.errors import SettingsError
from warmturn_bench.workload.trace import BlockPart, TracedConversation, TracedTurn

REPLAYED = "lengths and shared beginnings as recorded, words made up, arrival times not replayed"
_BLOCK_TOKENS = 512
_LENGTHS = ("input_length", "output_length")


def is_mooncake(entry: dict[str, Any]) -> bool:
    return any(name in entry for name in (*_LENGTHS, "hash_ids"))


@dataclass(frozen=True, slots=True)
class _Request:
    line: int
    input_length: int
    output_length: int
    blocks: tuple[int, ...]

    @property
    def whole_blocks(self) -> tuple[int, ...]:
        return self.blocks[: self.input_length // _BLOCK_TOKENS]

    @property
    def end(self) -> int:
        """In tokens, with the answer."""
        return self.input_length + self.output_length

    def turn_from(self, first: int) -> TracedTurn:
        """What is new from this token on, one token at least."""
        last = max(self.input_length, first + 1)
        numbers = range(first // _BLOCK_TOKENS, ceil(last / _BLOCK_TOKENS))
        return TracedTurn(tuple(self._part(number, first, last) for number in numbers), self.output_length)

    def _part(self, number: int, first: int, last: int) -> BlockPart:
        """A block without a hash is like no other."""
        name = str(self.blocks[number]) if number < len(self.blocks) else f"{number} of line {self.line}"
        start = number * _BLOCK_TOKENS
        return BlockPart(name, max(first - start, 0), min(last - start, _BLOCK_TOKENS))


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
        chain = _continued(by_blocks, request)
        if chain is None:
            chains.append(chain := _Chain(request))
            chain.turns.append(request.turn_from(0))
        else:
            chain.turns.append(request.turn_from(chain.last.end))
            chain.last = request
        if request.whole_blocks:
            by_blocks.setdefault(request.whole_blocks, []).append(chain)
    return [TracedConversation(tuple(chain.turns)) for chain in chains]


def _continued(by_blocks: dict[tuple[int, ...], list[_Chain]], request: _Request) -> _Chain | None:
    """The conversation that shares the most blocks; it is taken from the list, for it goes on only once."""
    for length in range(len(request.whole_blocks), 0, -1):
        waiting = by_blocks.get(request.whole_blocks[:length], [])
        for chain in reversed(waiting):
            if chain.last.end <= request.input_length:
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
    return _Request(line, entry["input_length"], entry["output_length"], tuple(blocks))
