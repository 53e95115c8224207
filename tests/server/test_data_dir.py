"""A remembered hash is the hash of the file as it is now, or it is not used."""

import json
import os
import time
from pathlib import Path

import pytest

from warmturn_server import data_dir as file_hashes
from warmturn_server.data_dir import FileHashes

PATTERNS = ("*.safetensors",)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two weight files that count as settled at once."""
    monkeypatch.setattr(file_hashes, "_SETTLED_NS", -1)
    for name in ("a", "b"):
        (tmp_path / f"{name}.safetensors").write_bytes(name.encode() * 100)
    return tmp_path


@pytest.fixture
def memory(folder: Path) -> Path:
    return folder / "data" / "hashes.json"


def test_names_and_contents_count(folder: Path, memory: Path) -> None:
    before = FileHashes(memory).of(folder, PATTERNS)
    (folder / "b.safetensors").rename(folder / "c.safetensors")
    assert FileHashes(memory).of(folder, PATTERNS) != before
    (folder / "c.safetensors").rename(folder / "b.safetensors")
    assert FileHashes(memory).of(folder, PATTERNS) == before


def test_a_hash_is_remembered(folder: Path, memory: Path) -> None:
    right = FileHashes(memory).of(folder, PATTERNS)
    known = json.loads(memory.read_text())
    assert len(known) == 2
    for entry in known.values():
        entry[-1] = "00" * 32
    memory.write_text(json.dumps(known))
    assert FileHashes(memory).of(folder, PATTERNS) != right, "it was read again"


def test_a_change_of_equal_size_and_time_is_seen(folder: Path, memory: Path) -> None:
    path = folder / "a.safetensors"
    before, times = FileHashes(memory).of(folder, PATTERNS), path.stat()
    time.sleep(0.05)  # a file system's clock is coarse
    path.write_bytes(b"x" * 100)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert FileHashes(memory).of(folder, PATTERNS) != before


def test_a_change_behind_a_link_is_seen(folder: Path, memory: Path) -> None:
    """Hubs keep their files elsewhere and link to them."""
    path, target = folder / "a.safetensors", folder / "blob"
    path.rename(target)
    path.symlink_to(target)
    before = FileHashes(memory).of(folder, PATTERNS)
    target.write_bytes(b"x" * 101)
    assert FileHashes(memory).of(folder, PATTERNS) != before


def test_what_changed_just_now_is_not_remembered(folder: Path, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_hashes, "_SETTLED_NS", 10**12)
    FileHashes(memory).of(folder, PATTERNS)
    assert not memory.exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1}', "\0"])
def test_a_broken_memory_is_no_memory(folder: Path, memory: Path, content: str) -> None:
    right = FileHashes(memory).of(folder, PATTERNS)
    memory.write_text(content)
    assert FileHashes(memory).of(folder, PATTERNS) == right
