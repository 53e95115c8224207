"""The tier on a local disk: one immutable file a block, named by its key, so there is no index that could be stale."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from ...data_dir import STATE_NAME
from ...engine_api.promise import BrokenBecause
from ...errors import StartRefused
from ...room import Room
from ..fingerprint import FingerprintDigest
from ..keys import BlockKey
from .block_files import SUFFIX, UNFINISHED, files_below, key_of, read, write_whole
from .lru import LRUIndex
from .rooms import Rooms
from .tier import Block, Medium, TierFull, TierUnavailable

_FULL = (errno.ENOSPC, errno.EDQUOT)
_Lost = Callable[[Collection[BlockKey], BrokenBecause], None]
_OF_ONE_FILE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO)


class DiskTier:
    """Blocks under `root/<fingerprint>/<two digits>/<key>.kv`; the budget covers every fingerprint below `root`.

    A file appears under its name only when it is whole (written aside, then renamed); it is not synced, because a
    block that a power cut tore is found out by its checksum and computed again. The order of use survives a restart
    as the files' modification times. Of the room on its disk it takes only what is not reserved for others.

    What is pinned leaves for no other block, but for conversations it does when nothing else is left: `lost` is told.
    """

    name = "disk"
    medium: Medium = "disk"

    def __init__(
        self,
        root: Path,
        fingerprint: FingerprintDigest,
        budget_bytes: int,
        room: Room | None = None,
        pinned: Collection[BlockKey] = (),
    ) -> None:
        """`room`: on the disk of `root`; all of it if left out. `pinned`: what an earlier process had pinned."""
        self.lost: _Lost = lambda *_: None
        """Who wants to know which pinned blocks went, from when on somebody does."""
        self._root = root
        self._room = room or Room(root)
        self._folder = root / fingerprint.hex()[:16]
        self._index = LRUIndex(budget_bytes)
        self._index.pin(pinned)
        self._paths: dict[BlockKey, Path] = {}
        self._rooms = Rooms()
        self._lock = threading.Lock()
        self.has_foreign_blocks = False
        try:
            self._make_folder()
            self._read_folder()
        except OSError as error:
            raise TierUnavailable(str(error)) from error

    def contains(self, keys: Sequence[BlockKey]) -> list[bool]:
        with self._lock:
            return [key in self._index for key in keys]

    def get_many(self, keys: Sequence[BlockKey]) -> dict[BlockKey, Block]:
        with self._lock:
            paths = {key: self._paths[key] for key in keys if key in self._paths}
        found: dict[BlockKey, Block] = {}
        for key, path in paths.items():
            try:
                found[key] = read(path, self._rooms)
            except OSError as error:
                if error.errno not in _OF_ONE_FILE:
                    raise TierUnavailable(f"reading {path.name}: {error}") from error
                self._drop([key], because="lost")
        self.used(list(found))
        return found

    def put_many(self, blocks: Mapping[BlockKey, Block]) -> None:
        for key, block in blocks.items():
            if len(block) > self._index.budget_bytes:
                continue
            path = self._path(key)
            self._write(path, block)
            with self._lock:
                self._paths[key] = path
                leaving = self._index.add(key, len(block))
            self._drop(leaving)

    def remove_many(self, keys: Collection[BlockKey]) -> None:
        with self._lock:
            known = [key for key in keys if self._index.discard(key)]
        self._drop(known, because="corrupt")

    def used(self, keys: Sequence[BlockKey]) -> None:
        """In the files' times too, which a restart goes by."""
        with self._lock:
            paths = [self._paths[key] for key in reversed(keys) if key in self._index]
            self._index.touch_chain(keys)
        for path in paths:
            with contextlib.suppress(OSError):
                os.utime(path)

    def leave_first(self, keys: Sequence[BlockKey]) -> None:
        """In the files' times too: as if they were the first that there ever were."""
        with self._lock:
            paths = [self._paths[key] for key in reversed(keys) if key in self._index]
            self._index.leave_first(keys)
        for age_ns, path in enumerate(paths):
            with contextlib.suppress(OSError):
                os.utime(path, ns=(age_ns, age_ns))

    def give_way(self, num_bytes: int) -> int:
        """Evict blocks of so many bytes, or all that there are, pinned ones last; how many bytes they had."""
        return self._evict(num_bytes, even_pinned=True)

    def pin(self, keys: Iterable[BlockKey]) -> None:
        """These stay, and so will those of them that come later, until they are unpinned."""
        with self._lock:
            self._index.pin(keys)

    def unpin(self, keys: Iterable[BlockKey]) -> None:
        with self._lock:
            self._index.unpin(keys)

    def has_room(self, num_bytes: int) -> bool:
        """Whether so much more could be written if only what is not pinned makes room."""
        with self._lock:
            return self._room.lacking_bytes(num_bytes) <= self._index.evictable_bytes if num_bytes else True

    def evicted(self, key: BlockKey) -> bool:
        return self._index.was_evicted(key)

    def close(self) -> None: ...

    @property
    def num_bytes(self) -> int:
        return self._index.num_bytes

    @property
    def num_blocks(self) -> int:
        return len(self._index)

    @property
    def budget_bytes(self) -> int:
        return self._index.budget_bytes

    @property
    def facts(self) -> Mapping[str, object]:
        return {}

    def _path(self, key: BlockKey) -> Path:
        name = key.hex()
        return self._folder / name[:2] / f"{name}{SUFFIX}"

    def _make_folder(self) -> None:
        """On a full disk it is made when there is room for the first block."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            if error.errno not in _FULL:
                raise

    def _write(self, path: Path, block: Block) -> None:
        lacking = self._room.lacking_bytes(len(block))
        if lacking and self._evict(lacking, even_pinned=False) < lacking:
            raise TierFull(f"{self._room.reserve_bytes:,} bytes of its disk are not for state, and no more are free")
        try:
            write_whole(path, block)
        except OSError as error:
            kind = TierFull if error.errno in _FULL else TierUnavailable
            raise kind(f"writing {path.name}: {error}") from error

    def _evict(self, num_bytes: int, *, even_pinned: bool) -> int:
        given = 0
        while given < num_bytes:
            with self._lock:
                leaving = self._index.evict_oldest(even_pinned=even_pinned)
            if leaving is None:
                break
            key, size = leaving
            given += size
            self._drop([key])
        return given

    def _drop(self, keys: Collection[BlockKey], because: BrokenBecause = "disk_full") -> None:
        with self._lock:
            paths = [self._paths.pop(key) for key in keys if key in self._paths]
            for key in keys:
                self._index.discard(key)
            lost = [key for key in keys if self._index.is_pinned(key)]
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink()
        if lost:
            self.lost(lost, because)

    def drop_foreign(self) -> None:
        """All that other models left here: nobody can tell which of it goes with something that is deleted."""
        with self._lock:
            foreign = [key for key, path in self._paths.items() if path.parent.parent != self._folder]
        self._drop(foreign, because="fingerprint")

    def _read_folder(self) -> None:
        for path, found in files_below(self._root):
            if path.suffix == UNFINISHED:
                path.unlink()
            elif (key := key_of(path)) is not None:
                self.has_foreign_blocks |= path.parent.parent != self._folder
                self._paths[key] = path
                self._drop(self._index.add(key, found.st_size))


def open_disk_tier(
    data_dir: Path, fingerprint: FingerprintDigest, budget_bytes: int, room: Room, pinned: Collection[BlockKey]
) -> DiskTier:
    """The one in a server's data folder, which gives way for `room`. Raises `StartRefused` with what to do."""
    try:
        tier = DiskTier(data_dir / STATE_NAME, fingerprint, budget_bytes, room, pinned)
    except TierUnavailable as error:
        raise StartRefused(f"cannot use {data_dir} for saved state: {error}; set --data-dir") from error
    room.give_way = tier.give_way
    return tier
