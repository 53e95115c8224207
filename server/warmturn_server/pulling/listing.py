"""Which models there are: bundled, pulled, in the hub's local copy, or only known by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound

from .. import bundled
from ..settings import BUNDLED
from .packaged import PACKAGED


@dataclass(frozen=True, slots=True)
class Listed:
    """`origin`: bundled, pulled, hub or known; one that is known has to be pulled before it is served."""

    name: str
    origin: str
    num_bytes: int
    about: str = ""


def listing(models: Path) -> list[Listed]:
    """In the order in which `--model` looks for them."""
    return [*_ours(models), *_of_the_hub()]


def _ours(models: Path) -> Iterator[Listed]:
    yield Listed(BUNDLED, "bundled", _size(bundled.path()), f"{bundled.NAME}: shows memory at work, knows nothing else")
    pulled = {path.name: path for path in models.glob("[!.]*") if path.is_dir()}
    for name, path in sorted(pulled.items()):
        yield Listed(name, "pulled", _size(path), PACKAGED[name].about if name in PACKAGED else "")
    for name, packaged in PACKAGED.items():
        if name not in pulled:
            yield Listed(name, "known", packaged.num_bytes, packaged.about)


def _of_the_hub() -> Iterator[Listed]:
    try:
        repos = scan_cache_dir().repos
    except (CacheNotFound, OSError):
        return
    for repo in sorted(repos, key=lambda repo: repo.repo_id):
        if repo.repo_type == "model":
            yield Listed(repo.repo_id, "hub", repo.size_on_disk)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
