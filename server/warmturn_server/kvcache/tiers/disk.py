"""The tier on a local disk: one immutable file a block, named by its key, so there is no index that could be stale."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ...data_dir import STATE_NAME
from ...errors import StartRefused
from ..fingerprint import FingerprintDigest
from ..keys import BlockKey
from .lru import LRUIndex
from .tier import Block, Medium, TierUnavailable

_SUFFIX = ".kv"
_UNFINISHED = ".part"
_OF_ONE_FILE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO)


class DiskTier:
    """Blocks under `root/<fingerprint>/<two digits>/<key>.kv`; the budget covers every fingerprint below `root`.

    A file appears under its name only when it is whole (written aside, then renamed); it is not synced, because a
    block that a power cut tore is found out by its checksum and computed again. The order of use survives a restart
    as the files' modification times.
    """

    name = "disk"
    medium: Medium = "disk"

    def __init__(self, root: Path, fingerprint: FingerprintDigest, budget_bytes: int) -> None:
        self._root = root
        self._folder = root / fingerprint.hex()[:16]
        self._index = LRUIndex(budget_bytes)
        self._paths: dict[BlockKey, Path] = {}
        self._lock = threading.Lock()
        self.has_foreign_blocks = False
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
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
                found[key] = _read(path)
            except OSError as error:
                if error.errno not in _OF_ONE_FILE:
                    raise TierUnavailable(f"reading {path.name}: {error}") from error
                self._drop([key])
        self.used(list(found))
        return found

    def put_many(self, blocks: Mapping[BlockKey, Block]) -> None:
        for key, block in blocks.items():
            if len(block) > self._index.budget_bytes:
                continue
            path = self._path(key)
            try:
                _write_whole(path, block)
            except OSError as error:
                raise TierUnavailable(f"writing {path.name}: {error}") from error
            with self._lock:
                self._paths[key] = path
                leaving = self._index.add(key, len(block))
            self._drop(leaving)

    def remove_many(self, keys: Collection[BlockKey]) -> None:
        with self._lock:
            known = [key for key in keys if self._index.discard(key)]
        self._drop(known)

    def used(self, keys: Sequence[BlockKey]) -> None:
        """In the files' times too, which a restart goes by."""
        with self._lock:
            paths = [self._paths[key] for key in reversed(keys) if key in self._index]
            self._index.touch_chain(keys)
        for path in paths:
            with contextlib.suppress(OSError):
                os.utime(path)

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
        return self._folder / name[:2] / f"{name}{_SUFFIX}"

    def _drop(self, keys: Collection[BlockKey]) -> None:
        with self._lock:
            paths = [self._paths.pop(key) for key in keys if key in self._paths]
            for key in keys:
                self._index.discard(key)
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink()

    def _read_folder(self) -> None:
        for path, found in sorted(files_below(self._root), key=lambda file: file[1].st_mtime_ns):
            if path.suffix == _UNFINISHED:
                path.unlink()
            elif (key := _key(path)) is not None:
                self.has_foreign_blocks |= path.parent.parent != self._folder
                self._paths[key] = path
                self._drop(self._index.add(key, found.st_size))


def open_disk_tier(data_dir: Path, fingerprint: FingerprintDigest, budget_bytes: int) -> DiskTier:
    """The one in a server's data folder. Raises `StartRefused` with what to do."""
    try:
        return DiskTier(data_dir / STATE_NAME, fingerprint, budget_bytes)
    except TierUnavailable as error:
        raise StartRefused(f"cannot use {data_dir} for saved state: {error}; set --data-dir") from error


def files_below(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            found = path.lstat()
            if stat.S_ISREG(found.st_mode):
                yield path, found


def _key(path: Path) -> BlockKey | None:
    try:
        return BlockKey(bytes.fromhex(path.stem)) if path.suffix == _SUFFIX else None
    except ValueError:
        return None


def _read(path: Path) -> bytearray:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        block = bytearray(os.fstat(descriptor).st_size)
        return block if file.readinto(block) == len(block) else bytearray()


def _write_whole(path: Path, block: Block) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_suffix(f".{threading.get_ident()}{_UNFINISHED}")
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
