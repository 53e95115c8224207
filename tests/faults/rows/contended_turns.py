"""Turns that contend for a few conversations, over two servers that share a log."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.row import Outcome, Row, Trial
from tests.support.fleet import SECRET, Fleet
from tests.support.load import Load, assert_log_is_true
from tests.support.models import make_model
from tests.support.talk import Talk

_TURNS = 50
_CONVERSATIONS = 4
_THREADS = 6


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    with Fleet(make_model(folder / "model"), folder / "fleet") as fleet:

        def try_once(_: int, __: random.Random) -> Outcome:
            with fleet.servers[0].client() as client:
                conversations = [Talk.begin(client).id for _ in range(_CONVERSATIONS)]
            with Load(fleet.servers, conversations, threads=_THREADS, turns=_TURNS) as history:
                pass
            assert history.count("unknown") == 0
            assert_log_is_true(fleet.redis, SECRET, conversations, history)
            counts = {"acknowledged": history.count("acknowledged"), "refused": history.count("refused")}
            return Outcome(Counter({"turns": sum(counts.values()), **counts}))

        yield try_once


ROW = Row(
    "contended-turns",
    "of turns that contend every acknowledged one is in the log once, no refused one is, no version is missing",
    long=60,
    short=4,
    rig=_rig,
)
