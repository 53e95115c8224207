"""What a turn costs through Ray Serve, beside a server alone: `python -m tests.benchmarks.ray_overhead`.

Needs the `ray` extra. One replica behind one of Serve's proxies, and `warmturn serve` with the same tiny model and the
same Redis as its log, in turn within one run: streamed turns of `--tokens` tokens, and short ones that are not
streamed. Figures are medians of seconds as the client saw them, and seconds of processor time a turn over all
processes of either. Ends with one line of JSON.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

import httpx
from tests.support.fleet import SECRET
from tests.support.models import TinyModels
from tests.support.ray_cluster import KEY, RayCluster
from tests.support.server import ServerProcess
from tests.support.talk import Talk

Row = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(measure(Path(scratch), given.turns, given.tokens)))


def measure(scratch: Path, turns: int, tokens: int) -> dict[str, Row]:
    model = TinyModels(scratch / "models")()
    with RayCluster(model, scratch / "ray") as cluster:
        cluster.serve(replicas="1")
        environment = {"WARMTURN_API_KEY": KEY, "WARMTURN_REDIS_SECRET": SECRET}
        options = ("--block-size", "8", "--log", "redis", "--log-redis", cluster.redis.url)
        with ServerProcess(model, scratch / "alone", *options, environment=environment) as alone:
            here, there = alone.client(), cluster.client()
            here.headers["Authorization"] = f"Bearer {KEY}"
            return compare({"alone": here, "ray": there}, {"alone": [alone.pid], "ray": cluster.pids()}, turns, tokens)


def compare(clients: dict[str, httpx.Client], pids: dict[str, list[int]], turns: int, tokens: int) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for kind, act in {"streamed": streamed, "short": short}.items():
        seen: dict[str, list[float]] = {name: [] for name in clients}
        spent = dict.fromkeys(clients, 0.0)
        for number in range(turns + 1):
            for name, client in clients.items():
                talk, before, begun = Talk.begin(client), processor_seconds(pids[name]), time.perf_counter()
                act(talk, tokens)
                if number:  # the first one warms up
                    seen[name].append(time.perf_counter() - begun)
                    spent[name] += processor_seconds(pids[name]) - before
        for name in clients:
            rows[f"{kind}, {name}"] = {
                "seconds": round(statistics.median(seen[name]), 4),
                "processor seconds": round(spent[name] / turns, 4),
            }
    return rows


def streamed(talk: Talk, tokens: int) -> None:
    for _ in talk.stream("Talk for long.", max_output_tokens=tokens, ignore_eos=True):
        pass


def short(talk: Talk, _: int) -> None:
    talk.say("Hello.", max_output_tokens=1)


def processor_seconds(pids: list[int]) -> float:
    """As Linux counts them: fields 14 and 15 of `proc_pid_stat(5)`."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split() for pid in pids]
    return sum(int(found[11]) + int(found[12]) for found in fields) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
