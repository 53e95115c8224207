"""Processors, memory and accelerators."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from ..engine.model.compiled.amx import why_not_amx
from ..engine.model.compiled.compiling import NotCompiled
from ..settings import Settings
from .finding import Finding, in_gib, problem, slow

_GROUP = Path("/sys/fs/cgroup")


def look_at_machine(settings: Settings) -> Iterator[Finding]:
    yield _processors(settings)
    yield _instructions(settings)
    yield from _matrix_instructions(settings)
    yield _memory(settings)
    yield _accelerator(settings)


def _processors(settings: Settings) -> Finding:
    ours, there = _usable_processors(), os.cpu_count() or 1
    threads = settings.threads or there
    value = f"{ours} of {there} processors for this process, {threads} threads to compute with"
    if threads > ours:
        return slow("processors", value, f"more threads than processors wait for each other: --threads {ours}")
    return Finding("processors", value)


def _usable_processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _instructions(settings: Settings) -> Finding:
    capability = torch.backends.cpu.get_cpu_capability()
    fast = [name for name, there in _FOR_BFLOAT16.items() if there()]
    value = ", ".join([capability, *fast])
    if not fast and settings.device == "cpu" and settings.dtype in ("auto", "bfloat16"):
        advice = "nothing here computes in bfloat16; --dtype float32 may be faster, and takes twice the memory"
        return slow("instructions", value, advice)
    return Finding("instructions", value)


_FOR_BFLOAT16: dict[str, Callable[[], bool]] = {
    "AMX": torch.cpu._is_amx_tile_supported,
    "AVX512-BF16": torch.cpu._is_avx512_bf16_supported,
}


def _matrix_instructions(settings: Settings) -> Iterator[Finding]:
    """Where there are some: what came of trying them, for which the kernels are compiled if they were not."""
    if settings.device != "cpu" or not torch.cpu._is_amx_tile_supported():
        return
    try:
        why = why_not_amx(torch.bfloat16)
    except NotCompiled as error:
        why = str(error)
    if why is None:
        yield Finding("matrix products", "by the compiled kernels, with AMX")
    else:
        advice = "bfloat16 is multiplied by torch instead: a token takes longer, and its bits depend on its batch"
        yield slow("matrix products", f"not by the compiled kernels: {why}", advice)


def _memory(settings: Settings) -> Finding:
    available = _available_bytes()
    if available is None:
        return Finding("memory", "this system does not say how much is free")
    budgets = settings.kv_memory + settings.ram_cache
    value = f"{in_gib(available)} available; --kv-memory and --ram-cache may take {in_gib(budgets)} beside the model"
    if budgets > available:
        return problem("memory", value, "the system would end the server when they fill up: lower them")
    return Finding("memory", value)


def _available_bytes() -> int | None:
    """As Linux estimates it for /proc/meminfo, or what the control group of a container leaves, if that is less."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        available = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
    return min(available, _left_to_container())


def _left_to_container() -> int:
    try:
        return int((_GROUP / "memory.max").read_text()) - int((_GROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return 2**63


def _accelerator(settings: Settings) -> Finding:
    if not settings.device.startswith("cuda"):
        there = f"{torch.cuda.device_count()} CUDA devices are here" if torch.cuda.is_available() else "none is here"
        return Finding("accelerator", f"not asked for (--device {settings.device}); {there}")
    if not torch.cuda.is_available():
        value = f"--device {settings.device}, but torch finds none"
        return problem("accelerator", value, "install a CUDA build of torch, or --device cpu")
    free_bytes, all_bytes = torch.cuda.mem_get_info(torch.device(settings.device))
    name = torch.cuda.get_device_name(torch.device(settings.device))
    return Finding("accelerator", f"{name}, {in_gib(free_bytes)} of {in_gib(all_bytes)} free")
