"""Saved state that somebody damaged or forged: it costs time, never a wrong token."""

import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xxhash
from tests.faults.row import Outcome, Row, Trial
from tests.support.conversation import Conversation, converse
from tests.support.engines import BLOCK_SIZE, running_engine
from tests.support.models import make_model

from warmturn_server.engine import Engine
from warmturn_server.kvcache import RestorePolicy

_FIXED = struct.Struct(">6sHIIQ32s32s")
"""The codec's: magic, version, bytes of the layout, tokens, bytes of the payload, key, fingerprint."""
_CHECKSUM_BYTES = 16
_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Block:
    """A file, and which of the conversation's tokens it covers. A shorter one may cover the first of them too."""

    path: Path
    content: bytes
    start: int
    stop: int


Damage = Callable[[random.Random, _Block, _Block], bytes | None]
"""`damage(chance, block, another)` is what the file holds afterwards; None: it is gone."""


def _flip_a_bit(chance: random.Random, block: _Block, _: _Block) -> bytes:
    content = bytearray(block.content)
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def _overwrite(chance: random.Random, block: _Block, _: _Block) -> bytes:
    at, size = chance.randrange(len(block.content)), chance.randrange(1, 200)
    return block.content[:at] + chance.randbytes(size) + block.content[at + size :]


def _zero_a_page(chance: random.Random, block: _Block, _: _Block) -> bytes:
    at = chance.randrange(0, len(block.content), _PAGE_BYTES)
    return block.content[:at] + bytes(_PAGE_BYTES)[: len(block.content) - at] + block.content[at + _PAGE_BYTES :]


def _cut(chance: random.Random, block: _Block, _: _Block) -> bytes:
    return block.content[: chance.randrange(len(block.content))]


def _lengthen(chance: random.Random, block: _Block, _: _Block) -> bytes:
    return block.content + chance.randbytes(chance.randrange(1, 100))


def _take_another(_: random.Random, __: _Block, another: _Block) -> bytes:
    return another.content


def _splice(chance: random.Random, block: _Block, another: _Block) -> bytes:
    at = chance.randrange(len(block.content))
    return block.content[:at] + another.content[at:]


def _forge(chance: random.Random, block: _Block, _: _Block) -> bytes:
    """One field of the header says something else, and the checksum is right."""
    fields = list(_FIXED.unpack_from(block.content))
    at = chance.randrange(len(fields))
    fields[at] = _otherwise(chance, fields[at])
    return _with_checksum(_FIXED.pack(*fields) + block.content[_FIXED.size :])


def _otherwise(chance: random.Random, value: bytes | int) -> bytes | int:
    if isinstance(value, bytes):
        return chance.randbytes(len(value))
    return chance.choice([value + 1, max(value - 1, 0) if value else 2, 2 * value + 1, 2**16 - 1])


def _forge_tokens(chance: random.Random, block: _Block, _: _Block) -> bytes:
    """Another token is said to be what the state is of, and the checksum is right."""
    content, at = bytearray(block.content), _tokens_at(block.content)
    content[at + 8 * chance.randrange(_num_tokens(block.content))] ^= 1 + chance.randrange(255)
    return _with_checksum(bytes(content))


def _remove(_: random.Random, __: _Block, ___: _Block) -> None:
    return None


_DAMAGES: tuple[Damage, ...] = (
    *(_flip_a_bit, _flip_a_bit, _overwrite, _zero_a_page, _cut, _lengthen),
    *(_take_another, _splice, _forge, _forge, _forge_tokens, _remove),
)


def _with_checksum(content: bytes) -> bytes:
    body = content[:-_CHECKSUM_BYTES]
    return body + xxhash.xxh3_128_digest(body)


def _tokens_at(content: bytes) -> int:
    return _FIXED.size + int(_FIXED.unpack_from(content)[2])


def _num_tokens(content: bytes) -> int:
    return int(_FIXED.unpack_from(content)[3])


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    conversation = converse(make_model(folder / "model"), folder / "uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RestorePolicy, "restore_seconds", lambda *_: 0.0)  # so tiny a model computes faster than it reads
        with running_engine(conversation.model, folder / "data", ram_cache=0) as engine:
            yield _Damaged(engine, conversation, folder / "data").try_once


class _Damaged:
    """An engine whose state is in files, and a conversation whose answers are known."""

    def __init__(self, engine: Engine, conversation: Conversation, data_dir: Path) -> None:
        self._engine, self._conversation, self._data_dir = engine, conversation, data_dir

    def try_once(self, _: int, chance: random.Random) -> Outcome:
        turn = chance.randrange(1, len(self._conversation.turns))
        self._save_all_before(turn)
        blocks = self._blocks_of(turn)
        damaged = chance.choice(blocks)
        changed = chance.choice(_DAMAGES)(chance, damaged, chance.choice(blocks))
        if changed == damaged.content:
            return Outcome(Counter({"left as they were": 1}))
        _write(damaged.path, changed)
        answer = self._conversation.ask(self._engine, turn)
        assert answer.token_ids == self._conversation.turns[turn].reply
        assert answer.report.cached_tokens < damaged.stop, "state from a damaged block, or from behind it"
        return Outcome(Counter({"damaged": 1, "tokens reused before it": answer.report.cached_tokens}))

    def _save_all_before(self, turn: int) -> None:
        self._engine.forget("", self._conversation.turns[-1].token_ids)
        self._conversation.ask(self._engine, turn - 1)
        self._engine.flush()
        self._engine.evict_idle()

    def _blocks_of(self, turn: int) -> list[_Block]:
        """What the turn would reuse, in order."""
        known = self._conversation.turns[turn - 1].token_ids[:-1]
        wanted = {known[start : start + BLOCK_SIZE]: start for start in range(0, len(known), BLOCK_SIZE)}
        found = [
            _Block(path, content, wanted[tokens], wanted[tokens] + len(tokens))
            for path in self._data_dir.rglob("*.kv")
            if (tokens := _tokens(content := path.read_bytes())) in wanted
        ]
        assert len(found) == len(wanted), "not all of the state was saved"
        return sorted(found, key=lambda block: block.start)


def _tokens(content: bytes) -> tuple[int, ...]:
    at = _tokens_at(content)
    return tuple(np.frombuffer(content, "<i8", _num_tokens(content), at).tolist())


def _write(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


ROW = Row(
    "corrupted-blocks",
    "a damaged or forged block of state is never used, and the answer is the one without it",
    long=10_000,
    short=150,
    rig=_rig,
)
