"""Talkers that press on over several servers, and remember what each turn came to."""

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, Protocol

import httpx
from tests.support.redis_server import RedisServer
from tests.support.talk import Json, Talk

from warmturn_server.chat import ConversationId, open_shared_storage

Outcome = Literal["acknowledged", "refused", "unknown"]
_ENDINGS = ("response.completed", "response.incomplete")


@dataclass(frozen=True)
class Asked:
    """A turn that somebody asked for: `refused` was said to be impossible (409), of `unknown` nobody heard the end."""

    conversation: str
    text: str
    outcome: Outcome
    response: Json = field(default_factory=dict)


class History:
    """What all talkers asked for, in no order."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._number = 0

    def new_text(self) -> str:
        with self._lock:
            self._number += 1
            return f"message {self._number}."

    def add(self, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked)

    def count(self, outcome: Outcome) -> int:
        return sum(asked.outcome == outcome for asked in self.asked)


class Server(Protocol):
    """Whatever answers: one server, or what stands before several."""

    def client(self, timeout_seconds: float = ...) -> httpx.Client: ...


def ask(server: Server, conversation: str, text: str) -> Asked:
    """One streamed turn, whatever comes of it."""
    try:
        with server.client(timeout_seconds=30) as client:
            return _streamed(Talk(client, conversation), text)
    except httpx.TransportError:
        return Asked(conversation, text, "unknown")


def _streamed(talk: Talk, text: str) -> Asked:
    body = talk.body(text, stream=True, max_output_tokens=2)
    with talk.client.stream("POST", "/v1/responses", json=body) as response:
        if response.status_code != 200:
            response.read()
            assert response.status_code in (409, 503), response.text
            return Asked(talk.id, text, "refused" if response.status_code == 409 else "unknown")
        last: Json = {}
        for line in response.iter_lines():
            if line.startswith("data: {"):
                last = json.loads(line.removeprefix("data: "))
    if last.get("type") in _ENDINGS:
        return Asked(talk.id, text, "acknowledged", last["response"])
    is_stale = last.get("type") == "error" and last["code"] in ("conversation_changed", "conversation_locked")
    return Asked(talk.id, text, "refused" if is_stale else "unknown")


class Load:
    """`with Load(servers, conversations, threads=4) as history: ...` talks until the block ends."""

    def __init__(
        self,
        servers: Sequence[Server],
        conversations: Sequence[str],
        *,
        threads: int,
        turns: int | None = None,
        pause_seconds: float = 0.0,
    ) -> None:
        """`turns`: how many are asked for; None until the block ends. `pause_seconds`: each talker's after a turn."""
        self._servers, self._conversations, self._threads, self._turns = servers, conversations, threads, turns
        self._pause_seconds = pause_seconds
        self._history = History()
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> History:
        self._talking = [self._pool.submit(self._talk, number) for number in range(self._threads)]
        return self._history

    def __exit__(self, *_: object) -> None:
        if self._turns is None:
            self._stopping.set()
        for talking in self._talking:
            talking.result()
        self._pool.shutdown()

    def _talk(self, number: int) -> None:
        """Each goes round the conversations at its own pace, from one server to the next."""
        for step in range(10**9):
            if self._stopping.is_set() or (self._turns is not None and len(self._history.asked) >= self._turns):
                return
            server = self._servers[(number + step) % len(self._servers)]
            conversation = self._conversations[(number + step // 2) % len(self._conversations)]
            asked = ask(server, conversation, self._history.new_text())
            self._history.add(asked)
            time.sleep(self._pause_seconds)


def assert_log_is_true(redis: RedisServer, secret: str, conversations: Sequence[str], history: History) -> None:
    """Every acknowledged turn exactly once and as it was told, no refused one, and no gap in the versions."""
    storage = open_shared_storage(redis.url, secret.encode())
    try:
        for conversation in conversations:
            opened = storage.store.open_conversation("", ConversationId(conversation))
            assert opened is not None
            assert opened.conversation.version == len(opened.turns)
            assert all(turn.conversation_id == conversation for turn in opened.turns)
            told = [asked for asked in history.asked if asked.conversation == conversation]
            _assert_turns(told, {turn.input[0].text: (turn.id, turn.output[0].text) for turn in opened.turns})
            assert max(Counter(turn.input[0].text for turn in opened.turns).values(), default=1) == 1
    finally:
        storage.locks.close()
        storage.store.close()


def _assert_turns(told: Sequence[Asked], logged: dict[str, tuple[str, str]]) -> None:
    acknowledged = {asked.text: asked.response for asked in told if asked.outcome == "acknowledged"}
    for text, response in acknowledged.items():
        assert logged[text] == (response["id"], response["output"][0]["content"][0]["text"])
    assert not logged.keys() & {asked.text for asked in told if asked.outcome == "refused"}
    assert logged.keys() <= {asked.text for asked in told if asked.outcome != "refused"}
