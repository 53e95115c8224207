"""Compiles the kernels for this very processor, once: the outcome is kept in the user's cache folder."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import torch
from platformdirs import user_cache_path

_SOURCE = Path(__file__).with_name("kernels.cpp")
_NUMBERS = {torch.float32: "float", torch.bfloat16: "bf16"}
_NATIVE = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"
_FLAGS = ("-O3", _NATIVE, "-std=c++17", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fPIC")
"""With them GCC and clang make the same bits: where a product is added to something, only the sum is rounded."""
_SECONDS = 120
_OPENMP = ("libgomp", "libiomp", "libomp")


class NotCompiled(Exception):
    """There are no compiled kernels here; says why."""


@cache
def compiled(dtype: torch.dtype) -> ctypes.CDLL:
    """The kernels for numbers of this kind. Raises `NotCompiled`."""
    if dtype not in _NUMBERS:
        raise NotCompiled(f"there are none for {dtype}")
    if os.name != "posix":
        raise NotCompiled("there are none for this system, only for Linux and macOS")
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ("c++", "g++", "clang++")), None)
    if compiler is None:
        raise NotCompiled("there is no C++ compiler (c++, g++ or clang++)")
    flags = (*_FLAGS, f"-DNUMBER={_NUMBERS[dtype]}")
    try:
        openmp = openmp_of_torch()
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
            [compiler, "-shared", str(made), *_linked(openmp), "-o", str(library)],
        ):
            _run(command)
        library.replace(built)


def _linked(openmp: str) -> tuple[str, ...]:
    """On macOS libraries are known by names that were built into them, not by their paths; torch's is there already."""
    return ("-Wl,-undefined,dynamic_lookup",) if sys.platform == "darwin" else (openmp,)


def _key(compiler: str, flags: tuple[str, ...], openmp: str) -> str:
    """Another compiler, processor (in what the compiler defines for it) or torch: another library."""
    asked = ("--version",), (*flags, "-x", "c++", "-dM", "-E", os.devnull)
    said = (_run([compiler, *options]) for options in asked)
    sources = (path.read_text() for path in sorted([_SOURCE, *_SOURCE.parent.glob("*.h")]))
    return hashlib.sha256("\0".join((*sources, *said, *flags, openmp)).encode()).hexdigest()


def _run(command: Sequence[str]) -> str:
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_SECONDS)
    return ran.stdout


def openmp_of_torch() -> str:
    """The library whose threads torch computes with; with a second one both would spin on the same processors."""
    found = next((path for path in _loaded() if Path(path).name.startswith(_OPENMP)), None)
    if found is None:
        raise NotCompiled("torch computes with threads that are not OpenMP's")
    return found


def _loaded() -> Iterator[str]:
    """Paths of this process' libraries; macOS does not list them, but there torch brings OpenMP's itself."""
    maps = Path("/proc/self/maps")
    if maps.exists():
        yield from (line.split()[-1] for line in maps.read_text().splitlines())
    else:
        yield from map(str, Path(torch.__file__).with_name("lib").iterdir())


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
