"""A copy of a data folder, made while its server runs, and looked through before anybody relies on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

from ..chat.storage.sqlite.inspection import copy_log
from ..data_dir import LOG_NAME, STATE_NAME
from ..errors import WarmturnError
from ..kvcache.tiers.block_files import files_below
from .verify import Findings, verify


class BackupRefused(WarmturnError):
    """Nothing was copied; the message says what to do."""


def back_up(data_dir: Path, destination: Path, log_secret: bytes, *, with_state: bool = False) -> Findings:
    """`destination` can be served with --data-dir afterwards. Raises `BackupRefused`."""
    log = data_dir / LOG_NAME
    if not log.exists():
        raise BackupRefused(f"there is no conversation log in {data_dir}; name the folder with --data-dir")
    try:
        destination.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(destination.iterdir()):
            raise BackupRefused(f"{destination} is not empty; name a folder that is not there yet")
        copy_log(log, destination / LOG_NAME)
        if with_state:
            _copy_state(data_dir / STATE_NAME, destination / STATE_NAME)
        _sync(destination / LOG_NAME, destination)
    except (OSError, sqlite3.Error) as error:
        raise BackupRefused(f"{data_dir} cannot be copied to {destination}: {error}") from error
    return verify(destination, log_secret)


def _copy_state(root: Path, to: Path) -> None:
    """Blocks that go away meanwhile are left out."""
    for path, _ in files_below(root):
        copy = to / path.relative_to(root)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(path, copy)


def _sync(*paths: Path) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
