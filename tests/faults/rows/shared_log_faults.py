"""Two servers that share a log in Redis, under load: one of the three dies, is restarted or sleeps."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.row import Outcome, Row, Trial
from tests.support.fleet import LEASE_SECONDS, SECRET, Fleet
from tests.support.load import History, Load, assert_log_is_true
from tests.support.models import make_model
from tests.support.talk import Talk
from tests.support.waiting import wait_until

_CONVERSATIONS = 12
_THREADS = 4
_TURNS_BETWEEN = 6


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    with Fleet(make_model(folder / "model"), folder / "fleet") as fleet:
        yield _Faulty(fleet).try_once


class _Faulty:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def try_once(self, number: int, chance: random.Random) -> Outcome:
        faults: dict[str, Callable[[random.Random], None]] = {
            "Redis killed": self._kill_redis,
            "Redis asleep": self._redis_sleeps,
            "servers killed": self._kill_a_server,
            "servers asleep": self._a_server_sleeps,
            "servers restarted": self._restart_a_server,
        }
        name = list(faults)[number % len(faults)]
        with self._fleet.servers[0].client() as client:
            conversations = [Talk.begin(client).id for _ in range(_CONVERSATIONS)]
        with Load(self._fleet.servers, conversations, threads=_THREADS, pause_seconds=0.02) as history:
            _await_more(history)
            faults[name](chance)
            _await_more(history)
        assert_log_is_true(self._fleet.redis, SECRET, conversations, history)
        return Outcome(Counter({name: 1, "acknowledged turns": history.count("acknowledged")}))

    def _kill_redis(self, chance: random.Random) -> None:
        self._fleet.redis.kill()
        time.sleep(chance.uniform(0, 0.6))
        self._fleet.redis.start()

    def _redis_sleeps(self, chance: random.Random) -> None:
        self._fleet.redis.pause()
        time.sleep(chance.uniform(0.05, 2))
        self._fleet.redis.resume()

    def _kill_a_server(self, chance: random.Random) -> None:
        server = chance.choice(self._fleet.servers)
        server.kill()
        server.start()

    def _restart_a_server(self, chance: random.Random) -> None:
        assert chance.choice(self._fleet.servers).restart().running

    def _a_server_sleeps(self, chance: random.Random) -> None:
        """So long, one time of three, that others may take its conversations over."""
        server = chance.choice(self._fleet.servers)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            time.sleep(chance.choice([0.3, 1.0, LEASE_SECONDS + 0.5]))
        finally:
            os.kill(server.pid, signal.SIGCONT)


def _await_more(history: History) -> None:
    enough = history.count("acknowledged") + _TURNS_BETWEEN
    wait_until(lambda: history.count("acknowledged") >= enough, "no turn succeeds any more", seconds=60)


ROW = Row(
    "shared-log-faults",
    "whoever dies or sleeps, every acknowledged turn is in the log once, no refused one is, no version is missing",
    long=200,
    short=5,
    rig=_rig,
)
