"""Clients that go away at any moment, several at once, from a server whose log and state are in Redis."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.faults.row import Outcome, Row, Trial
from tests.support.fleet import Fleet
from tests.support.http import local_get
from tests.support.models import make_model
from tests.support.reference import Reference, assert_greedy
from tests.support.server import ServerProcess
from tests.support.talk import Said, Talk
from tests.support.waiting import wait_until

_TOGETHER = 5
_MOST_TURNS = 20
_LONG = {"max_output_tokens": 1_000, "ignore_eos": True}
"""Takes seconds: with fewer tokens a reply may be whole before a client that got no processor breaks it off."""


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    model = make_model(folder / "model")
    with Fleet(model, folder / "fleet", size=1) as fleet, fleet.servers[0].client() as client:
        yield _Cancelled(fleet.servers[0], client, Reference(model)).try_once


class _Known:
    """A conversation, and its turns that nobody broke off."""

    def __init__(self, client: httpx.Client) -> None:
        self.talk = Talk.begin(client)
        self.said: list[tuple[str, Said]] = []


class _Cancelled:
    def __init__(self, server: ServerProcess, client: httpx.Client, oracle: Reference) -> None:
        self._server, self._client, self._oracle = server, client, oracle
        self._known = [_Known(client) for _ in range(_TOGETHER)]

    def try_once(self, _: int, chance: random.Random) -> Outcome:
        self._known = [known if len(known.said) < _MOST_TURNS else _Known(self._client) for known in self._known]
        chances = [random.Random(chance.random()) for _ in self._known]
        with ThreadPoolExecutor(_TOGETHER) as threads:
            seen = list(threads.map(self._break_off_and_go_on, self._known, chances))
        wait_until(lambda: self._num_running() == 0, "a turn goes on that nobody waits for", seconds=30)
        return Outcome(Counter({"cancellations": len(seen), "events before them": sum(seen)}))

    def _break_off_and_go_on(self, known: _Known, chance: random.Random) -> int:
        """How many events came before the end; the next turn knows nothing of them."""
        num_events = self._break_off(known, chance)
        text = f"And then, {len(known.said)}?"
        said = self._say_when_free(known, text)
        if known.said:
            before = known.said[-1][1].known
            assert said.prompt[: len(before)] == before, "not the conversation's own tokens"
        assert_greedy(self._oracle, said.prompt, said.output)
        known.said.append((text, said))
        assert known.talk.texts() == [words for text, said in known.said for words in (text, said.text)]
        return num_events

    def _break_off(self, known: _Known, chance: random.Random) -> int:
        """After some events; or before the first, when the client's patience is over."""
        wanted = chance.choice([0, 0, 1, 2, chance.randint(3, 40)])
        patience = httpx.Timeout(30, read=30 if wanted else chance.uniform(0.001, 0.05))
        num_events = 0
        try:
            with self._server.client() as client:
                client.timeout = patience
                for _ in Talk(client, known.talk.id).stream("Never heard.", **_LONG):
                    num_events += 1
                    if num_events >= wanted:
                        break
        except httpx.ReadTimeout:
            assert not wanted
        return num_events

    def _say_when_free(self, known: _Known, text: str) -> Said:
        """The server needs a moment to notice that a client has gone."""
        answers: list[httpx.Response] = []

        def is_free() -> bool:
            answers.append(self._client.post("/v1/responses", json=known.talk.body(text)))
            return answers[-1].status_code != 409

        wait_until(is_free, "the conversation never became free", seconds=30)
        assert answers[-1].status_code == 200, answers[-1].text
        return Said.of(answers[-1].json())

    def _num_running(self) -> float:
        metrics = local_get(f"{self._server.base_url}/metrics").text
        lines = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("warmturn_requests_"))
        return float(lines["warmturn_requests_running"]) + float(lines["warmturn_requests_waiting"])


ROW = Row(
    "cancellations",
    "a turn that was broken off leaves nothing: its conversation goes on, nobody gets another's answer",
    long=1_000,
    short=10,
    rig=_rig,
)
