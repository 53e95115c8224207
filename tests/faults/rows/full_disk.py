"""The disk is full at the Nth write of a few turns, of the log or of state: once, or until somebody makes room."""

import logging
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from tests.faults.row import Outcome, Row, Trial
from tests.support.full_disk import Extent, FullDisk, full_disk
from tests.support.in_thread import serving
from tests.support.models import make_model
from tests.support.reference import Reference, assert_greedy
from tests.support.talk import Json, Talk

WRITES = 100
"""More than there are: in some trials of a round nothing is refused."""
_STRIDE = 7
"""So that few trials are spread over all of them, and as many as there are writes try each."""
_TEXTS = ("Who is there?", "a word of many " * 20, "And then?")


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    model = make_model(folder / "model")
    logging.disable(logging.ERROR)  # that it is full is told at each write
    try:
        with full_disk() as disk:
            yield _Filled(model, folder / "data", disk).try_once
    finally:
        logging.disable(logging.NOTSET)


@dataclass
class _Told:
    """What a trial was told of its conversations; None where one was not even begun."""

    kept: str | None = None
    acknowledged: list[str] = field(default_factory=list)
    doomed: str | None = None
    deleted: bool = False


class _Filled:
    """A server for each trial, on one data folder: it finds what it left to the next."""

    def __init__(self, model: Path, data_dir: Path, disk: FullDisk) -> None:
        self._model, self._data_dir, self._disk = model, data_dir, disk
        self._oracle = Reference(model)
        self._told = _Told()
        self._counts: Counter[str] = Counter()

    def try_once(self, number: int, chance: random.Random) -> Outcome:
        self._counts = Counter()
        extent: Extent = "once" if number % 2 else "from then on"
        with serving(self._model, self._data_dir) as server, server.client() as client:
            self._check(client)
            self._told = _Told(doomed=_begun(client))
            server.engine.flush()
            self._disk.fill(1 + number // 2 * _STRIDE % WRITES, extent)
            try:
                self._talk(client, chance)
                server.engine.flush()
            finally:
                refused, is_full = self._disk.num_refused, client.get("/ready").status_code == 503
                self._disk.free()
            self._counts += Counter(
                {f"trials full {extent}": 1, "refused writes": refused, "clean trials": not refused}
            )
            if extent == "once":
                assert not self._counts["refused turns"], "there was room when it was tried again"
            if self._counts["refused turns"]:
                assert is_full, "it took no turns, and did not say so"
            assert client.get("/ready").status_code == 200
            self._check(client)
        return Outcome(self._counts)

    def _talk(self, client: httpx.Client, chance: random.Random) -> None:
        made = client.post("/v1/conversations", json={})
        if made.status_code == 200:
            self._told.kept = str(made.json()["id"])
            for text in _TEXTS:
                self._say(Talk(client, self._told.kept), f"{text} {chance.random()}", chance.random() < 0.5)
        deleted = client.delete(f"/v1/conversations/{self._told.doomed}")
        assert deleted.status_code == 200 or _is_refusal(deleted), deleted.text
        self._told.deleted = deleted.status_code == 200

    def _say(self, talk: Talk, text: str, stream: bool) -> None:
        body = talk.body(text, max_output_tokens=4, stream=stream)
        with talk.client.stream("POST", "/v1/responses", json=body) as reply:
            reply.read()
        is_whole = reply.status_code == 200 and ("response.failed" not in reply.text)
        assert is_whole or _is_refusal(reply) or '"store_full"' in reply.text, reply.text
        self._counts["acknowledged turns" if is_whole else "refused turns"] += 1
        if is_whole:
            self._told.acknowledged.append(text)

    def _check(self, client: httpx.Client) -> None:
        """The log says what was told, and goes on from it rightly."""
        told = self._told
        if told.kept is not None:
            talk = Talk(client, told.kept)
            assert talk.texts()[0::2] == told.acknowledged
            said = talk.say("Go on.", max_output_tokens=3)
            assert_greedy(self._oracle, said.prompt, said.output)
            told.acknowledged.append("Go on.")
        if told.doomed is not None:
            found = client.get(f"/v1/conversations/{told.doomed}").status_code
            assert found == (404 if told.deleted else 200)


def _begun(client: httpx.Client) -> str:
    talk = Talk.begin(client)
    talk.say("To be deleted.", max_output_tokens=2)
    return talk.id


def _is_refusal(reply: httpx.Response) -> bool:
    error: Json = reply.json().get("error", {}) if reply.headers["content-type"] == "application/json" else {}
    return (reply.status_code, error.get("code")) == (503, "store_full")


ROW = Row(
    name="full-disk",
    must_hold="on a disk that is full at any write no acknowledged turn is lost and no refused one kept; it recovers",
    long=10 * WRITES,
    short=20,
    rig=_rig,
)
