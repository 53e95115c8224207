"""Where a replica keeps its state: by rank, so that one that takes another's place finds what that one had saved."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path

from ..data_dir import MODELS_NAME, is_in_use


def replica_folder(data_dir: Path, rank: int) -> Path:
    """`replica-RANK`, or the first that nobody uses: ranks are dealt out anew while who had one still finishes its
    turns. So there are never more folders than there were replicas at once. What was pulled is everybody's.
    """
    folder = next(folder for folder in _candidates(data_dir, rank) if not is_in_use(folder))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (data_dir / MODELS_NAME).is_dir():
        with contextlib.suppress(FileExistsError):
            (folder / MODELS_NAME).symlink_to(Path("..") / MODELS_NAME)
    return folder


def _candidates(data_dir: Path, rank: int) -> Iterator[Path]:
    return (data_dir / f"replica-{number}" for number in chain([rank], count()))
