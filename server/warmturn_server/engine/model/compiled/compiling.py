"""Compiles the kernels for this very processor, once: the outcome is kept in the user's cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from platformdirs import user_cache_path

_SOURCE = Path(__file__).with_name("kernels.cpp")
_NUMBERS = {torch.float32: "float", torch.bfloat16: "bf16"}
_FLAGS = ("-O3", "-march=native", "-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-fPIC")
_SECONDS = 120
_OPENMP = ("libgomp", "libiomp", "libomp")


class NotCompiled(Exception):
    """There are no compiled kernels here; says why."""


@cache
def compiled(dtype: torch.dtype) -> ctypes.CDLL:
    """The kernels for numbers of this kind. Raises `NotCompiled`."""
    if dtype not in _NUMBERS:
        raise NotCompiled(f"there are none for {dtype}")
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), None)
    if compiler is None:
        raise NotCompiled("there is no C++ compiler (c++, g++ or clang++)")
    flags = (*_FLAGS, f"-DNUMBER={_NUMBERS[dtype]}")
    try:
        openmp = _openmp_of_torch()
        built = _folder() / f"{_key(compiler, flags, openmp)}.so"
        if not built.exists():
            _compile(compiler, flags, openmp, built)
        return ctypes.CDLL(str(built))
    except (OSError, subprocess.SubprocessError) as error:
        raise NotCompiled(_words(error)) from error


def _compile(compiler: str, flags: tuple[str, ...], openmp: str, built: Path) -> None:
    """Two steps: linked with the flags, floating point would treat tiny numbers otherwise in the whole process."""
    with tempfile.TemporaryDirectory(dir=built.parent) as scratch:
        made, library = Path(scratch, "kernels.o"), Path(scratch, "kernels.so")
        for command in (
            [compiler, *flags, "-c", str(_SOURCE), "-o", str(made)],
            [compiler, "-shared", str(made), openmp, "-o", str(library)],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
        library.replace(built)


def _key(compiler: str, flags: tuple[str, ...], openmp: str) -> str:
    """Another compiler, processor or torch: another library."""
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True, timeout=_SECONDS).stdout
    sources = (path.read_bytes() for path in sorted([_SOURCE, *_SOURCE.parent.glob("*.h")]))
    parts = (b"\0".join(sources), version, _processor(), " ".join((*flags, openmp)).encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _processor() -> bytes:
    lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    return b"\n".join(dict.fromkeys(line for line in lines if line.startswith((b"flags", b"Features", b"model name"))))


def _openmp_of_torch() -> str:
    """The library whose threads torch computes with; with a second one both would spin on the same processors."""
    mapped = (line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines())
    found = next((path for path in mapped if Path(path).name.startswith(_OPENMP)), None)
    if found is None:
        raise NotCompiled("torch computes with threads that are not OpenMP's")
    return found


def _folder() -> Path:
    """Of this user alone: what lies there is run."""
    folder = user_cache_path("warmturn") / "native"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise NotCompiled(f"others can write to {folder}")
    return folder


def _words(error: Exception) -> str:
    said = str(getattr(error, "stderr", "") or error).strip().splitlines()
    return f"they could not be compiled: {next((line for line in said if 'error' in line), said[0] if said else error)}"
