"""What a step costs beside its forward pass, with HTTP: 8 clients stream from a real server process."""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from tests.support.server import ServerProcess

STREAMS = 8
REPLY_TOKENS = 128


def measure_http_overhead(model: Path, data_dir: Path) -> list[dict[str, float | int | str | None]]:
    """From the server's own metrics: time between tokens of a sequence, less the forward pass in between."""
    threads = str(os.cpu_count() or 1)
    with ServerProcess(model, data_dir, "--dtype", "bfloat16", "--threads", threads) as server:
        with ThreadPoolExecutor(STREAMS) as pool:
            list(pool.map(_stream, [server.base_url] * STREAMS))
            before = _sums(server.base_url)
            list(pool.map(_stream, [server.base_url] * STREAMS))
        after = _sums(server.base_url)
    gained = {name: after[name] - before[name] for name in after}
    between = gained["inter_token_latency_seconds_sum"] / gained["inter_token_latency_seconds_count"]
    forward = gained["forward_seconds_sum"] / gained["forward_seconds_count"]
    inside = gained["step_overhead_seconds_sum"] / gained["step_overhead_seconds_count"]
    return [
        {
            "streams": STREAMS,
            "between tokens": round(between * 1000, 2),
            "forward": round(forward * 1000, 2),
            "sampling and detokenising": round(inside * 1000, 3),
            "all bookkeeping": round((between - forward) * 1000, 2),
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
        match[1]: float(match[2])
        for match in re.finditer(r"^warmturn_(\w+_seconds_(?:sum|count)) (\S+)$", text, re.MULTILINE)
    }
