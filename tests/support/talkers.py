"""Talkers that go on until the server is gone and remember what was acknowledged; the log is compared with that."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk, checked
from tests.support.waiting import wait_until

ENDINGS: Final = ("response.completed", "response.incomplete")


@dataclass
class Talker:
    """Talks in one conversation, streaming, until the server is gone; remembers what was acknowledged."""

    number: int
    conversation: str
    asked: list[str] = field(default_factory=list)
    acknowledged: list[tuple[str, Json]] = field(default_factory=list)

    def talk_until_it_breaks(self, server: ServerProcess) -> None:
        with server.client() as client, contextlib.suppress(httpx.TransportError):
            while True:
                self.say(Talk(client, self.conversation), f"{self.number}: message {len(self.asked)}.")

    def say(self, talk: Talk, text: str) -> None:
        self.asked.append(text)
        for event in talk.stream(text, max_output_tokens=10):
            assert event["type"] not in ("error", "response.failed"), event
            if event["type"] in ENDINGS:
                self.acknowledged.append((text, event["response"]))


def num_acknowledged(talkers: Sequence[Talker]) -> int:
    return sum(len(talker.acknowledged) for talker in talkers)


def await_acknowledged(talkers: Sequence[Talker], more: int) -> None:
    enough = num_acknowledged(talkers) + more
    wait_until(lambda: num_acknowledged(talkers) >= enough, "no turn succeeds any more", seconds=60)


def assert_log_is_whole(talker: Talker, talk: Talk) -> None:
    texts = talk.texts()
    asked, answered = texts[0::2], texts[1::2]
    assert len(asked) == len(answered), "a turn is whole or not there"
    assert max(Counter(asked).values(), default=1) == 1
    assert set(asked) <= set(talker.asked), "nothing that nobody said"
    assert asked == sorted(asked, key=talker.asked.index)
    log = dict(zip(asked, answered, strict=True))
    for text, response in talker.acknowledged:
        assert log[text] == response["output"][0]["content"][0]["text"]
        stored = checked(talk.client.get(f"/v1/responses/{response['id']}"))
        assert stored["output"] == response["output"]
    unacknowledged = set(talker.asked) - {text for text, _ in talker.acknowledged}
    assert set(asked) - unacknowledged == {text for text, _ in talker.acknowledged}
