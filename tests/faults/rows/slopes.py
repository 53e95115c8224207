"""What a server holds while it is used for long: memory, descriptors, threads and files, fitted over its turns."""

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median

import httpx
import numpy as np
from tests.faults.row import Outcome, Row, Trial
from tests.support.launch import Launch, fresh
from tests.support.models import make_model
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk, checked

MOST_BYTES_A_TURN = 1024.0
_SAMPLES = 40
_TURNS_A_CONVERSATION = 4
_OPTIONS = ("--block-size", "8", "--kv-memory", "4MiB", "--ram-cache", "2MiB", "--disk-cache", "4MiB")


@dataclass(frozen=True, slots=True)
class Length:
    """Turns until all that is remembered in part is full, then those over which slopes are fitted."""

    warm_up: int
    measured: int
    most_bytes_a_turn: float = MOST_BYTES_A_TURN
    launch: Launch = fresh
    """A fork's garbage is collected more often, for what it was forked with does not count."""


@dataclass(frozen=True, slots=True)
class Sample:
    turn: int
    memory_bytes: int
    descriptors: int
    threads: int
    log_bytes: int

    @classmethod
    def of(cls, server: ServerProcess, turn: int) -> "Sample":
        process = Path(f"/proc/{server.pid}")
        said = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        log = sum(file.stat().st_size for file in server.data_dir.glob("conversations*"))
        memory = 1024 * int(said["RssAnon"].split()[0])
        return cls(turn, memory, len(os.listdir(process / "fd")), int(said["Threads"]), log)  # noqa: PTH208


@contextmanager
def rig(length: Length, folder: Path) -> Iterator[Trial]:
    model = make_model(folder / "model")

    def trial(number: int, chance: random.Random) -> Outcome:
        deletes = number % 2 == 0
        with (
            ServerProcess(model, folder / f"data-{number}", *_OPTIONS, launch=length.launch) as server,
            server.client() as client,
        ):
            samples = list(_used(server, client, length, chance, deletes=deletes))
        return _judged(samples, length, deletes=deletes)

    yield trial


def _used(
    server: ServerProcess, client: httpx.Client, length: Length, chance: random.Random, *, deletes: bool
) -> Iterator[Sample]:
    """Turns of every kind; with `deletes` each conversation goes when the next one begins, else all of them stay."""
    talk = Talk.begin(client)
    for turn in range(1, length.warm_up + length.measured + 1):
        if turn % _TURNS_A_CONVERSATION == 0 or not deletes:
            if deletes:
                checked(client.delete(f"/v1/conversations/{talk.id}"))
            talk = Talk.begin(client)
        _take(talk, server, chance, f"turn {turn}: " + "word " * chance.randrange(12))
        if turn > length.warm_up and turn % max(length.measured // _SAMPLES, 1) == 0:
            yield Sample.of(server, turn)


def _take(talk: Talk, server: ServerProcess, chance: random.Random, text: str) -> None:
    """Most are whole or streamed; some are broken off, stateless or refused."""
    kind = chance.randrange(20)
    if kind == 0:
        body: Json = {"messages": [{"role": "user", "content": text}], "max_tokens": 4, "ignore_eos": True}
        checked(talk.client.post("/v1/chat/completions", json=body))
    elif kind == 1:
        refused = talk.client.post("/v1/responses", json=talk.body("too long " * 2_000))
        assert refused.status_code == 400
    elif kind == 2:
        with server.client() as leaving:
            list(islice(Talk(leaving, talk.id).stream(text, max_output_tokens=500, ignore_eos=True), 4))
        _until_free(talk)
    elif kind < 10:
        assert [event["type"] for event in talk.stream(text, max_output_tokens=6)][-1] in _ENDINGS
    else:
        talk.say(text, max_output_tokens=6)


_ENDINGS = ("response.completed", "response.incomplete")


def _until_free(talk: Talk) -> None:
    """A turn that was left is over at its next step."""
    body = talk.body("Go on.", max_output_tokens=1)
    while talk.client.post("/v1/responses", json=body).status_code == 409:
        pass


def _judged(samples: list[Sample], length: Length, *, deletes: bool) -> Outcome:
    turns = [sample.turn for sample in samples]
    memory = slope(turns, [sample.memory_bytes for sample in samples])
    log = slope(turns, [sample.log_bytes for sample in samples])
    kind = "deleted" if deletes else "kept"
    seen = {f"bytes of memory a turn, conversations {kind}": memory, f"bytes of log a turn, conversations {kind}": log}
    told = f"{seen} in {samples[0]} to {samples[-1]}"
    assert memory <= length.most_bytes_a_turn, told
    assert not deletes or log <= length.most_bytes_a_turn, told
    for name in ("descriptors", "threads"):
        assert grown([getattr(sample, name) for sample in samples]) <= 1, f"{name}: {told}"
    return Outcome(
        Counter({"measured turns": length.measured}), {name: round(value, 1) for name, value in seen.items()}
    )


def slope(turns: list[int], values: list[int]) -> float:
    """Of all lines through two of the points the median one (Theil and Sen): a single step does not tilt it."""
    x, y = np.array(turns, dtype=float), np.array(values, dtype=float)
    first, second = np.triu_indices(len(x), 1)
    return float(np.median((y[second] - y[first]) / (x[second] - x[first])))


def grown(values: list[int]) -> float:
    """From the first third to the last."""
    third = max(len(values) // 3, 1)
    return median(values[-third:]) - median(values[:third])


ROW = Row(
    name="slopes",
    must_hold="over 10,000 turns memory grows by 1 KiB a turn at most, and descriptors, threads and deleted words not",
    long=2,
    short=2,
    rig=partial(rig, Length(warm_up=5_000, measured=10_000)),
)
