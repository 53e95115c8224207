"""Ray on this machine, as two nodes, with Warmturn served on it; it needs the `ray` extra only when it starts."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest
from tests.support.device import DEVICE
from tests.support.http import local_client
from tests.support.redis_server import DURABLE, RedisServer, free_port
from tests.support.waiting import wait_until

KEY = "the operator's key"
SECRET = "a secret of the fleet"
CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
_APPLICATION = "warmturn"
_SMALL: dict[str, Any] = {"num_gpus": 0, "object_store_memory": 100 * 2**20, "include_dashboard": False}
_RUNNING = re.compile(r"^warmturn_requests_running (\S+)", re.MULTILINE)
_HELD = re.compile(r'^warmturn_conversation_turns_total\{held="(\w+)"\} (\S+)', re.MULTILINE)


class RayCluster:
    """`with RayCluster(model, folder) as cluster: cluster.serve(replicas=2); cluster.client().get("/ready")`

    The second node has room for one replica, the first for `cpus`.
    """

    def __init__(self, model: Path, folder: Path, *, cpus: int = 3, names_sessions: bool = True) -> None:
        self.redis = RedisServer(folder / "redis", *DURABLE)
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._cpus = cpus
        self._environment = {
            "WARMTURN_API_KEY": KEY,
            "WARMTURN_REDIS_SECRET": SECRET,
            "WARMTURN_REDIS_WAIT_MS": "60000",  # the machine that runs the tests may be busy
            "RAY_DEDUP_LOGS": "1",
            **({CALLBACK: "warmturn_server.ray.proxy:middlewares"} if names_sessions else {}),
        }
        self._arguments: dict[str, Any] = {
            "redis": self.redis.url,
            "model": str(model),
            "data_dir": str(folder / "data"),
            **{"device": str(DEVICE), "dtype": "float32", "control_rate": "0", "block_size": "8"},
            **{"kv_memory": "64MiB", "ram_cache": "64MiB", "disk_cache": "64MiB"},
        }

    def serve(self, **arguments: str) -> None:
        """Anew, or as a rolling update; back when that is done."""
        from ray import serve

        from warmturn_server.ray import app

        serve.run(app({**self._arguments, **arguments}), name=_APPLICATION, route_prefix="/")

    def client(self, timeout_seconds: float = 120) -> httpx.Client:
        client = local_client(self.base_url, timeout_seconds)
        client.headers["Authorization"] = f"Bearer {KEY}"
        return client

    def replicas(self) -> list[str]:
        with self.client() as client:
            return [target["labels"]["replica"] for target in client.get("/metrics/targets").json()]

    def await_replicas(self, count: int) -> list[str]:
        """Until there are so many, and all of them can be asked."""
        return wait_until(lambda: found if len(found := list(self.figures())) == count else None, "never so many", 180)

    def await_running(self, count: int) -> None:
        """The same as Serve knows it, which takes no requests: those count where their number is what it goes by."""
        running = ["RUNNING"] * count
        wait_until(lambda: [entry["state"] for entry in self._details()] == running, "never so many", 180)

    def figures(self) -> dict[str, str]:
        """Of each replica that answers."""
        with self.client() as client:
            asked = {name: client.get("/metrics", params={"replica": name}) for name in self.replicas()}
        return {name: reply.text for name, reply in asked.items() if reply.status_code == 200}

    def busy(self) -> str:
        """The replica that runs a turn."""
        return wait_until(
            lambda: next(
                (name for name, text in self.figures().items() if (found := _RUNNING.search(text)) and float(found[1])),
                None,
            ),
            "nobody runs a turn",
        )

    def held(self) -> dict[str, int]:
        """Where continued turns found their state, over all replicas that there are."""
        totals: dict[str, int] = {}
        for text in self.figures().values():
            for tier, count in _HELD.findall(text):
                totals[tier] = totals.get(tier, 0) + int(float(count))
        return {tier: count for tier, count in totals.items() if count}

    def kill(self, replica: str) -> None:
        """Its process, at once."""
        import ray

        ray.kill(ray.get_actor(f"SERVE_REPLICA::{_APPLICATION}#Warmturn#{replica}", namespace="serve"))

    def pids(self) -> list[int]:
        """Of all processes of both nodes."""
        nodes = [self._cluster.head_node, self._second]
        found = [entry.process.pid for node in nodes for kind in node.all_processes.values() for entry in kind]
        parents = {int(path.parent.name): _parent(path) for path in Path("/proc").glob("[0-9]*/stat")}
        for pid in found:  # grows while it is gone through
            found += [child for child, parent in parents.items() if parent == pid and child not in found]
        return found

    def node_of(self, replica: str) -> str:
        return next(str(entry["node_id"]) for entry in self._details() if entry["replica_id"] == replica)

    def _details(self) -> list[dict[str, Any]]:
        """Of all replicas that there are."""
        from ray.serve.context import _get_global_client

        details = _get_global_client().get_serve_details()
        replicas: list[dict[str, Any]] = details["applications"][_APPLICATION]["deployments"]["Warmturn"]["replicas"]
        return replicas

    @property
    def second_node(self) -> str:
        return str(self._second.node_id)

    def kill_second_node(self) -> None:
        """All that runs there, at once."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def __enter__(self) -> Self:
        with ExitStack() as running:
            self._start(running)
            self._running = running.pop_all()
        return self

    def _start(self, running: ExitStack) -> None:
        running.enter_context(_environment(self._environment))
        running.enter_context(self.redis)
        import ray
        from ray import serve
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": self._cpus, **_SMALL})
        running.callback(self._cluster.shutdown)
        self._second = self._cluster.add_node(num_cpus=1, **_SMALL)
        ray.init(address=self._cluster.address, namespace="serve", log_to_driver=False, configure_logging=False)
        running.callback(ray.shutdown)
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": self.port})
        running.callback(serve.shutdown)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._running.__exit__(kind, error, at)


def _parent(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(") ")[2].split()[1])
    except OSError:  # it has ended meanwhile
        return 0


def _environment(variables: Mapping[str, str]) -> ExitStack:
    """Set until the block is left: nodes, proxies and replicas inherit it."""
    stack = ExitStack()
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    for name, value in variables.items():
        patch.setenv(name, value)
    return stack
