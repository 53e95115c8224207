"""Files of blocks: written whole, read as they are, found again by their names."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

from ..keys import BlockKey
from .rooms import Rooms
from .tier import Block

SUFFIX = ".kv"
UNFINISHED = ".part"


def files_below(root: Path) -> list[tuple[Path, os.stat_result]]:
    """What was used longest ago first."""
    return sorted(_files(root), key=lambda file: file[1].st_mtime_ns)


def key_of(path: Path) -> BlockKey | None:
    """None for what is no file of ours."""
    try:
        return BlockKey(bytes.fromhex(path.stem)) if path.suffix == SUFFIX else None
    except ValueError:
        return None


def read(path: Path, rooms: Rooms) -> Block:
    """Empty if it became shorter meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        block = rooms.take(os.fstat(descriptor).st_size)
        return block if file.readinto(block) == len(block) else b""


def write_whole(path: Path, block: Block) -> None:
    """All of it is there under its name, or nothing at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_suffix(f".{threading.get_ident()}{UNFINISHED}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            view = memoryview(block)
            while view:
                view = view[file.write(view) :]
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def remove_oldest(root: Path, num_bytes: int, pinned: Collection[BlockKey] = ()) -> None:
    """Before a tier is there that knows them: files of blocks go, oldest first and pinned ones last, until that much is
    freed."""
    for path, found in sorted(files_below(root), key=lambda file: key_of(file[0]) in pinned):
        if num_bytes <= 0:
            return
        if key_of(path) is not None:
            with contextlib.suppress(OSError):
                path.unlink()
                num_bytes -= found.st_size


def _files(folder: Path | str) -> Iterator[tuple[Path, os.stat_result]]:
    """There may be tens of thousands, and a server starts no sooner than all are seen. No link is followed."""
    try:
        entries = [*os.scandir(folder)]
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        elif entry.is_file(follow_symlinks=False):
            with contextlib.suppress(FileNotFoundError):
                yield Path(entry.path), entry.stat(follow_symlinks=False)
