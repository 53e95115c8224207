"""Whether kernels that were compiled for AMX may multiply by it: first it is tried in a process of its own."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from ctypes import c_int64
from functools import cache

import torch

from .compiling import NotCompiled, compiled, openmp_of_torch

SWITCH = "WARMTURN_AMX"
_log = logging.getLogger(__name__)
_SECONDS = 60
_RIGHT = 10
_SAID = {11: "they compute something else than they should here", 12: "the system does not let programs use them"}
"""What `try_amx` returns: as in `trial.h`."""
_TRIAL = "import sys; from ctypes import *; CDLL(sys.argv[1], RTLD_GLOBAL); sys.exit(CDLL(sys.argv[2]).try_amx())"


def kernels_multiply(dtype: torch.dtype) -> bool:
    """Whether products are best left to the compiled kernels here."""
    try:
        return why_not_amx(dtype) is None and bool(compiled(dtype).packs())
    except NotCompiled:
        return False


def uses_amx(dtype: torch.dtype) -> bool:
    """Whether those of them with as many inputs as it takes at once, or a multiple, go by AMX."""
    return kernels_multiply(dtype) and bool(compiled(dtype).goes_by_amx(c_int64(0)))


@cache
def why_not_amx(dtype: torch.dtype) -> str | None:
    """None where it is used, or the processor has none. Raises `NotCompiled`."""
    library = compiled(dtype)
    if not library.goes_by_amx(c_int64(0)):
        return None
    why = _why_not(library._name)
    if why is None and not library.packs():
        why = "the system does not let this process use them"
    if why is not None:
        _log.warning("this processor's matrix instructions (AMX) are left to torch: %s", why)
    return why


def _why_not(library: str) -> str | None:
    if os.environ.get(SWITCH) == "off":
        return f"{SWITCH}=off"
    try:
        command = [sys.executable, "-I", "-S", "-c", _TRIAL, openmp_of_torch(), library]
        code = subprocess.run(command, capture_output=True, timeout=_SECONDS).returncode
    except (OSError, subprocess.SubprocessError) as error:
        return f"they could not be tried: {error}"
    if code == _RIGHT:
        return None
    return _SAID.get(code, f"their trial ended with {signal.Signals(-code).name if code < 0 else code}")
