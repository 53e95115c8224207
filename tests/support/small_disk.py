"""A file system that is soon full: memory that root may mount, skipped where nobody may."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[Path]:
    """Of that size at `folder`. Containers mostly forbid it, CI's too: then the test is skipped everywhere."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes},mode=0777", "tmpfs", str(folder)]
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    try:
        subprocess.run([*as_root, *mount], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small file system cannot be mounted here: {error}")
    try:
        yield folder
    finally:
        subprocess.run([*as_root, "umount", "--lazy", str(folder)], check=True)


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def fill(file: Path, leave_bytes: int = 0) -> None:
    """Somebody else takes what is free now, but for so much; not what is freed meanwhile."""
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as taken:
        for left in range(free_bytes(file.parent) - leave_bytes, 0, -(2**16)):
            taken.write(bytes(min(left, 2**16)))
