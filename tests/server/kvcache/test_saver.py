"""Saving happens elsewhere, never blocks, and outlives its own failures."""

import threading
from collections.abc import Iterator

import pytest
from tests.support.state import Tally, cache_over, filled_buffer, ram, token_ids

from warmturn_server.kvcache import KVSnapshot, PrefixCache, RamTier, Saver
from warmturn_server.kvcache.saver import MAX_WAITING


class Gate(RamTier):
    """A tier whose writes wait until they are let through."""

    def __init__(self) -> None:
        super().__init__(2**20)
        self.open = threading.Event()

    def put_many(self, blocks: object) -> None:
        assert self.open.wait(10)
        super().put_many(blocks)  # type: ignore[arg-type]


@pytest.fixture
def snapshot() -> Iterator[KVSnapshot]:
    yield filled_buffer(9).snapshot()


def test_what_was_saved_is_there_after_a_flush(snapshot: KVSnapshot) -> None:
    cache, tally = cache_over(ram()), Tally()
    saver = Saver(cache, tally)
    saver.save("", token_ids(9), snapshot)
    saver.flush()
    assert cache.match("", token_ids(9)).num_tokens == 9
    assert tally.saved_bytes > 0
    saver.close()


def test_closing_writes_what_is_queued(snapshot: KVSnapshot) -> None:
    cache = cache_over(ram())
    saver = Saver(cache, Tally())
    for number in range(10):
        saver.save(f"tenant {number}", token_ids(9), snapshot)
    saver.close()
    assert [cache.match(f"tenant {number}", token_ids(9)).num_tokens for number in range(10)] == [9] * 10


def test_saving_never_waits_and_drops_what_is_too_much(snapshot: KVSnapshot) -> None:
    gate, tally = Gate(), Tally()
    saver = Saver(cache_over(gate), tally)
    for number in range(MAX_WAITING + 10):
        saver.save(f"tenant {number}", token_ids(9), snapshot)
    assert tally.dropped >= 9
    gate.open.set()
    saver.close()
    assert gate.num_blocks == 3 * (MAX_WAITING + 10 - tally.dropped)


def test_a_failed_save_does_not_stop_the_next(snapshot: KVSnapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    cache: PrefixCache = cache_over(ram())
    saver = Saver(cache, Tally())
    with monkeypatch.context() as failing:
        failing.setattr(PrefixCache, "save", None)
        saver.save("", token_ids(9), snapshot)
        saver.flush()
    saver.save("", token_ids(9), snapshot)
    saver.flush()
    assert cache.match("", token_ids(9)).num_tokens == 9
    saver.close()


def test_closing_does_not_wait_for_ever(snapshot: KVSnapshot) -> None:
    gate = Gate()
    saver = Saver(cache_over(gate), Tally())
    saver.save("", token_ids(9), snapshot)
    saver.close(timeout_seconds=0.1)
    gate.open.set()
