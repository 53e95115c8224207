"""What a step costs beside its forward pass, with HTTP: 8 clients stream from a real server process."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from tests.support.server import ServerProcess

STREAMS = 8
REPLY_TOKENS = 128


def measure_http_overhead(model: Path, data_dir: Path, device: str) -> list[dict[str, float | int | str | None]]:
    """From the server's own metrics: from one step's end to the next one's, what is not the forward pass."""
    threads = str(os.cpu_count() or 1)
    with ServerProcess(model, data_dir, "--device", device, "--dtype", "bfloat16", "--threads", threads) as server:
        with ThreadPoolExecutor(STREAMS) as pool:
            list(pool.map(_stream, [server.base_url] * STREAMS))
            before = _sums(server.base_url)
            list(pool.map(_stream, [server.base_url] * STREAMS))
        after = _sums(server.base_url)
    gained = {name: after[name] - before[name] for name in after}
    steps = gained["step_overhead_seconds_count"]
    return [
        {
            "streams": STREAMS,
            "steps": int(steps),
            "sequences a step": round(gained["step_sequences_sum"] / steps, 2),
            "forward": round(1000 * gained["forward_seconds_sum"] / steps, 2),
            "all bookkeeping": round(1000 * gained["step_overhead_seconds_sum"] / steps, 3),
        }
    ]


def _stream(base_url: str) -> None:
    body = {
        "input": "1 2 3",
        "stream": True,
        "temperature": 0,
        "max_output_tokens": REPLY_TOKENS,
        "ignore_eos": True,
        "store": False,
    }
    with httpx.stream("POST", f"{base_url}/v1/responses", json=body, timeout=120) as response:
        for _ in response.iter_bytes():
            pass


def _sums(base_url: str) -> dict[str, float]:
    text = httpx.get(f"{base_url}/metrics").text
    return {
        match[1]: float(match[2]) for match in re.finditer(r"^warmturn_(\w+_(?:sum|count)) (\S+)$", text, re.MULTILINE)
    }
