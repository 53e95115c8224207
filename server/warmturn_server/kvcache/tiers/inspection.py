"""Looks through the blocks on a disk for damage."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..codec import CorruptBlock, ForeignBlock, read_header
from .block_files import files_below


@dataclass(slots=True)
class StateInspection:
    """How many blocks there are, of how many models, and which files are no sound block."""

    num_blocks: int = 0
    num_bytes: int = 0
    models: set[str] = field(default_factory=set)
    older: list[Path] = field(default_factory=list)
    """Of a format that this version does not read: a miss."""
    damaged: list[Path] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.damaged


def inspect_state(root: Path) -> StateInspection:
    """It only reads. Blocks come and go beside a server: one that is gone meanwhile is not looked at."""
    seen = StateInspection()
    for path, found in files_below(root):
        if path.suffix != ".kv":
            continue
        try:
            header = read_header(memoryview(path.read_bytes()))
        except FileNotFoundError:
            continue
        except ForeignBlock:
            seen.older.append(path)
        except CorruptBlock:
            seen.damaged.append(path)
        else:
            if header.key.hex() != path.stem:
                seen.damaged.append(path)
            seen.models.add(header.fingerprint.hex()[:16])
        seen.num_blocks += 1
        seen.num_bytes += found.st_size
    return seen
