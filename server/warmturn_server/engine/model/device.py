"""What a GPU has to be told so that what is promised holds there: same work, same bits; and clocks that show work."""

from __future__ import annotations

import os

import torch
from torch.utils import deterministic

from ...errors import StartRefused


def same_work_same_bits(device: torch.device) -> None:
    """For this process; call it before anything is computed. Sums keep their order, float32 stays float32.

    cuDNN's attention is left out: it plans anew for every length, and each token of a reply is one.
    """
    if device.type != "cuda":
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.use_deterministic_algorithms(True, warn_only=True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # it would fill every new buffer


def finish(device: torch.device) -> None:
    """Wait for what was begun: a GPU works behind its launches, and a clock read before this shows only those."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


def refuse_more_than_fits(kv_bytes: int, device: torch.device) -> None:
    """Raise `StartRefused` where the K/V budget is more than a GPU has left; call it when the model is loaded."""
    if device.type != "cuda":
        return
    torch.cuda.empty_cache()
    free_bytes, _ = torch.cuda.mem_get_info(device)
    if kv_bytes > free_bytes:
        raise StartRefused(
            f"--kv-memory {_gib(kv_bytes)} is more than the {_gib(free_bytes)} that {device} has left beside the "
            "model; lower it"
        )


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f}GiB"
