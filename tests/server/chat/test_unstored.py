"""Turns that were not to be stored: how long they are remembered, and how many."""

from tests.server.chat.driver import Chat
from tests.server.chat.making import VOCABULARY, record

from warmturn_server.chat import UnstoredTurns
from warmturn_server.chat.transcript.prefix_digests import CHUNK_CHARS, prefix_digests
from warmturn_server.chat.transcript.records import RecordPart

LONG = "who knows how the others know? " * 5
assert len(LONG) > 2 * CHUNK_CHARS


class Time:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def remember(unstored: UnstoredTurns, name: str, text: str) -> None:
    unstored.remember(record(name, text), prefix_digests(text, "", VOCABULARY))


def found(unstored: UnstoredTurns, text: str, limit: int = 9) -> list[RecordPart]:
    return unstored.beginning(prefix_digests(text, "", VOCABULARY), limit)


def test_found_by_the_deepest_beginning_newest_first() -> None:
    unstored = UnstoredTurns(10)
    for name in ("a", "b"):
        remember(unstored, name, LONG + name * CHUNK_CHARS)
    assert [part.turn_id for part in found(unstored, LONG)] == ["b", "a"]
    assert [part.turn_id for part in found(unstored, LONG, 1)] == ["b"]
    whole = LONG + "a" * CHUNK_CHARS
    assert found(unstored, whole) == [record("a", whole)]
    assert found(unstored, "") and not unstored.beginning(prefix_digests(LONG, "another", VOCABULARY), 9)


def test_gone_when_its_time_is_over() -> None:
    now = Time()
    unstored = UnstoredTurns(10, clock=now)
    remember(unstored, "a", LONG)
    now.seconds = 5
    remember(unstored, "b", LONG + "b" * CHUNK_CHARS)
    now.seconds = 11
    assert [part.turn_id for part in found(unstored, LONG)] == ["b"]
    now.seconds = 16
    assert not found(unstored, "") and not unstored._owners and not unstored._num_bytes


def test_bounded_and_the_oldest_goes_first() -> None:
    unstored = UnstoredTurns(10, max_bytes=60_000)
    for number in range(40):
        remember(unstored, f"{number}", f"{number}" * 1_000)
    assert 0 < unstored.num_turns < 40
    assert found(unstored, "39" * 1_000)[0].turn_id == "39"
    assert all(part.turn_id != "0" for part in found(unstored, "0" * 1_000))


def test_what_is_gone_on_from_is_let_go() -> None:
    unstored = UnstoredTurns(10)
    remember(unstored, "a", LONG)
    remember(unstored, "b", LONG[:-1] + "x" + LONG)
    assert [part.turn_id for part in found(unstored, LONG)] == ["b"], "a's last id was never computed"
    remember(unstored, "c", LONG[:-9] + "another")
    assert unstored.num_turns == 2


async def test_nothing_of_them_is_in_the_log(chat: Chat) -> None:
    turn = await chat.resend(("user", "who?"))
    assert chat.unstored.num_turns == 1
    assert chat.store.turn("", turn.id) is None and chat.store.record_parts("", turn.id) == []
    await chat.say("who?")
    assert chat.unstored.num_turns == 1


def test_with_no_time_to_live_nothing_is_remembered() -> None:
    unstored = UnstoredTurns(0)
    remember(unstored, "a", LONG)
    assert not unstored.num_turns and not found(unstored, LONG)
