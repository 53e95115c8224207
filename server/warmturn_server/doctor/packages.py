"""What is installed."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import torch

from .finding import Finding

_SERVER = ("warmturn", "transformers", "tokenizers", "fastapi", "uvicorn", "redis")
_OPTIONAL = {"gguf": "GGUF files", "accelerate": "GGUF files"}


def look_at_packages() -> Iterator[Finding]:
    yield Finding(
        "python", f"{platform.python_version()} on {platform.system()} {platform.machine()} ({sys.executable})"
    )
    yield Finding("torch", f"{torch.__version__}, {_build()}")
    for package in _SERVER:
        yield Finding(package, _version(package) or "not installed")
    for package, what_for in _OPTIONAL.items():
        yield Finding(package, _version(package) or f"not installed (only {what_for} need it)")


def _build() -> str:
    if torch.version.cuda:
        return f"built for CUDA {torch.version.cuda}"
    return "built for CPUs"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
