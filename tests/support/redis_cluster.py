"""A real Redis Cluster of three masters, and a master with a sentinel that watches it."""

import random
import socket
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

_SLOTS = 16_384
_BUS = 10_000


class RedisCluster:
    """`with RedisCluster(folder) as cluster: cluster.nodes[1].kill()`"""

    def __init__(self, folder: Path, size: int = 3) -> None:
        self.nodes = [RedisServer(folder / str(n), "--cluster-enabled", "yes") for n in range(size)]
        for node in self.nodes:
            node.port = _port_with_a_bus()

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def __enter__(self) -> Self:
        with ExitStack() as started:
            for number, node in enumerate(self.nodes):
                started.enter_context(node)
                share = range(number * _SLOTS // len(self.nodes), (number + 1) * _SLOTS // len(self.nodes))
                _cluster(node, "ADDSLOTS", *share)
                _cluster(node, "SET-CONFIG-EPOCH", number + 1)
            self._meet()
            self._running = started.pop_all()
        return self

    def _meet(self) -> None:
        for node in self.nodes[1:]:
            _cluster(self.nodes[0], "MEET", "127.0.0.1", node.port)
        wait_until(lambda: all(map(self._knows_all, self.nodes)), "the cluster did not come together")

    def _knows_all(self, node: RedisServer) -> bool:
        info = _cluster(node, "INFO")
        assert isinstance(info, bytes)
        return b"cluster_state:ok" in info and b"cluster_known_nodes:%d" % len(self.nodes) in info

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._running.close()


class Sentinel(RedisServer):
    """A sentinel alone, which watches one master under the name `warm`."""

    def __init__(self, folder: Path, master: RedisServer) -> None:
        super().__init__(folder, "--sentinel")
        (folder / "redis.conf").write_text(f"sentinel monitor warm 127.0.0.1 {master.port} 1\n")
        self.configuration = (str(folder / "redis.conf"),)

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/0?service=warm"


def _cluster(node: RedisServer, *words: object) -> object:
    with node.client() as client:
        return client.execute_command("CLUSTER", *words)


def _port_with_a_bus() -> int:
    """A cluster's nodes talk to each other on a second port, 10,000 above the first."""
    while True:
        port = random.randrange(20_000, 30_000)
        try:
            with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + _BUS)):
                return port
        except OSError:
            continue
