"""SIGKILL while a server starts, computes, streams, saves or deletes, with others talking beside."""

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.faults.row import Outcome, Row, Trial
from tests.support.models import make_model
from tests.support.reference import Reference, assert_greedy
from tests.support.server import ServerProcess
from tests.support.talk import Said, Talk, checked
from tests.support.talkers import Talker, assert_log_is_whole, num_acknowledged

_BESIDE = 2
_MOST_TURNS = 30
_START_SECONDS = 0.7
_SAVING_SECONDS = 0.05
_DELETING_SECONDS = 0.01
_LONG_TEXT = "a word of many " * 40


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    model = make_model(folder / "model")
    with ServerProcess(model, folder / "data", "--block-size", "8") as server:
        yield _Killed(server, Reference(model)).try_once


class _Killed:
    """A server, and talkers who know what it acknowledged: the first one's turn is what is broken off."""

    def __init__(self, server: ServerProcess, oracle: Reference) -> None:
        self._server, self._oracle = server, oracle
        with server.client() as client:
            self._talkers = [Talker(number, Talk.begin(client).id) for number in range(_BESIDE + 1)]
        self._doomed: tuple[Talker, bool] | None = None

    def try_once(self, number: int, chance: random.Random) -> Outcome:
        self._renew()
        before = num_acknowledged(self._talkers)
        moments: list[Callable[[random.Random], None]] = [
            *(self._in_start_up, self._in_prefill, self._in_the_stream, self._while_saving, self._while_deleting)
        ]
        with ThreadPoolExecutor(_BESIDE) as threads:
            talking = [threads.submit(talker.talk_until_it_breaks, self._server) for talker in self._talkers[1:]]
            moments[number % len(moments)](chance)
            self._server.kill()
            for talked in talking:
                talked.result()
        self._server.start()
        with self._server.client() as client:
            self._check(client)
        return Outcome(Counter({"kills": 1, "acknowledged turns": num_acknowledged(self._talkers) - before}))

    def _renew(self) -> None:
        """Conversations that have become long end here."""
        with self._server.client() as client:
            for at, talker in enumerate(self._talkers):
                if len(talker.asked) > _MOST_TURNS:
                    assert client.delete(f"/v1/conversations/{talker.conversation}").status_code == 200
                    self._talkers[at] = Talker(talker.number, Talk.begin(client).id)

    def _in_start_up(self, chance: random.Random) -> None:
        self._server.kill()
        self._server.launch()
        time.sleep(chance.uniform(0, _START_SECONDS))

    def _in_prefill(self, chance: random.Random) -> None:
        self._break_off(_LONG_TEXT, num_events=1)
        time.sleep(chance.uniform(0, _SAVING_SECONDS))

    def _in_the_stream(self, chance: random.Random) -> None:
        self._break_off("more", num_events=chance.randint(2, 12))

    def _while_saving(self, chance: random.Random) -> None:
        talker = self._talkers[0]
        with self._server.client() as client:
            talker.say(Talk(client, talker.conversation), _text(talker, "to be saved"))
        time.sleep(chance.uniform(0, _SAVING_SECONDS))

    def _while_deleting(self, chance: random.Random) -> None:
        with self._server.client() as client:
            doomed = Talker(9, Talk.begin(client).id)
            for _ in range(chance.randint(1, 3)):
                doomed.say(Talk(client, doomed.conversation), _text(doomed, "to be deleted"))
        with ThreadPoolExecutor(1) as thread:
            deleting = thread.submit(self._delete, doomed)
            time.sleep(chance.uniform(0, _DELETING_SECONDS))
            self._server.kill()
            self._doomed = doomed, deleting.result()

    def _delete(self, doomed: Talker) -> bool:
        """Whether that was acknowledged."""
        with contextlib.suppress(httpx.TransportError), self._server.client() as client:
            return client.delete(f"/v1/conversations/{doomed.conversation}").status_code == 200
        return False

    def _break_off(self, words: str, num_events: int) -> None:
        """The server dies after so many events, or at the turn's end."""
        talker = self._talkers[0]
        text = _text(talker, words)
        talker.asked.append(text)
        with self._server.client() as client:
            events = Talk(client, talker.conversation).stream(text, max_output_tokens=20, ignore_eos=True)
            for _ in zip(range(num_events), events, strict=False):
                pass
            self._server.kill()

    def _check(self, client: httpx.Client) -> None:
        for talker in self._talkers:
            assert_log_is_whole(talker, Talk(client, talker.conversation))
        if self._doomed:
            self._check_doomed(client, *self._doomed)
            self._doomed = None
        self._check_next_turn(client, self._talkers[0])

    def _check_doomed(self, client: httpx.Client, doomed: Talker, is_acknowledged: bool) -> None:
        """A conversation is there as a whole or not at all."""
        status = client.get(f"/v1/conversations/{doomed.conversation}").status_code
        assert status in ((404,) if is_acknowledged else (200, 404))
        if status == 200:
            assert_log_is_whole(doomed, Talk(client, doomed.conversation))
            checked(client.delete(f"/v1/conversations/{doomed.conversation}"))

    def _check_next_turn(self, client: httpx.Client, talker: Talker) -> None:
        """It goes on on the very tokens of the last one, and its answer is the right one."""
        before = talker.acknowledged[-1:]
        talker.say(Talk(client, talker.conversation), _text(talker, "and then?"))
        said = talker.acknowledged[-1][1]["warmturn"]
        for _, response in before:
            known = list(Said.of(response).known)
            assert said["prompt_token_ids"][: len(known)] == known
        assert_greedy(self._oracle, said["prompt_token_ids"], said["output_token_ids"])


def _text(talker: Talker, words: str) -> str:
    return f"{talker.number}: {len(talker.asked)} {words}"


ROW = Row(
    "kills",
    "after kill -9 every acknowledged turn is there exactly once, and the next answer is right",
    long=1_000,
    short=15,
    rig=_rig,
)
