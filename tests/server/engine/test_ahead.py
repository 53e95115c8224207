"""What is expected is computed while nobody waits; it changes when a turn answers, never what, and leaves no trace."""

import dataclasses
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.support.engines import greedy, running_engine
from tests.support.models import TinyModels
from tests.support.steps import Steps
from tests.support.waiting import wait_until

from warmturn_server.engine import Engine, prepared
from warmturn_server.engine.ahead import hook
from warmturn_server.engine_api import AheadCause, AheadRequest, GenerationRequest, ReuseMode
from warmturn_server.kvcache.tiers.disk import DiskTier
from warmturn_server.metrics.ahead import AheadCounts

HISTORY = tuple(range(10, 50))
EXPECTED = (*HISTORY[:24], *range(100, 140))
SENT = (*EXPECTED, *range(60, 66))
_numbers = count()


class Conversation:
    """One of a tenant of its own, on an engine that others use too."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tenant = f"tenant {next(_numbers)}"
        self.turn = dataclasses.replace(greedy(SENT, 6, tenant=self.tenant), follows="conv")
        self.expected = AheadRequest(EXPECTED, "conv", "reply", HISTORY, self.tenant)
        self.typed = dataclasses.replace(self.expected, cause="typing")
        engine.generate(greedy(HISTORY, 1, tenant=self.tenant))

    @property
    def held(self) -> int | None:
        """Tokens that are prepared; None where there is nothing."""
        idle = self.engine._memory.pool.prepared(self.tenant, "conv")
        return len(idle.token_ids) if idle else None

    def prepare(self, request: AheadRequest | None = None) -> None:
        request = request or self.expected
        self.engine.prepare(request)
        self.wait(lambda: self.held == len(request.token_ids))

    def wait(self, condition: object = lambda: True) -> None:
        assert callable(condition)
        waiting = self.engine._ahead._waiting
        wait_until(lambda: condition() and self.engine._inbox.empty and not waiting, "it is not done")

    def scratch(self, request: GenerationRequest | None = None) -> tuple[int, ...]:
        request = dataclasses.replace(request or self.turn, reuse=ReuseMode.PROMPT, follows="")
        return self.engine.generate(request).token_ids


@pytest.fixture(scope="module")
def engine(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running_engine(tiny_models(), tmp_path_factory.mktemp("ahead")) as engine:
        yield engine


@pytest.fixture
def chat(engine: Engine) -> Conversation:
    return Conversation(engine)


def counts(engine: Engine) -> AheadCounts:
    found = engine._accounts._observer._exposed.ahead  # type: ignore[attr-defined]
    assert isinstance(found, AheadCounts)
    return found


def test_a_turn_computes_only_what_was_not_expected(chat: Conversation) -> None:
    expected = chat.scratch()
    chat.prepare()
    answer = chat.engine.generate(chat.turn)
    assert answer.token_ids == expected
    assert (answer.report.cached_tokens, answer.report.prefilled_tokens) == (len(EXPECTED), 6)
    assert answer.report.ahead_tokens == len(EXPECTED) - 24
    assert chat.held is None


def test_what_it_cost_and_what_it_saved_is_counted(chat: Conversation) -> None:
    before = counts(chat.engine).snapshot()
    chat.prepare()
    chat.engine.generate(chat.turn)
    chat.prepare(dataclasses.replace(chat.typed, token_ids=(*EXPECTED, 1, 2)))
    after = counts(chat.engine).snapshot()
    grown = {(cause, name): after[cause][name] - before[cause][name] for cause in after for name in after[cause]}
    names = ("prompts", "turns", "computed_tokens", "used_tokens")
    assert [grown["reply", name] for name in names] == [1, 1, 40, 40]
    assert [grown["typing", name] for name in names][:2] == [1, 0]
    assert grown["reply", "spent_seconds"] > 0


def test_a_turn_that_comes_sooner_goes_on_from_what_is_there(
    chat: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = chat.scratch()
    steps = Steps(monkeypatch)
    steps.hold()
    chat.engine.prepare(chat.expected)
    wait_until(lambda: chat.held == 24 or not chat.engine._ahead._waiting, "it has not begun")
    answers: list[tuple[int, ...]] = []
    thread = threading.Thread(target=lambda: answers.append(chat.engine.generate(chat.turn).token_ids))
    thread.start()
    wait_until(
        lambda: chat.engine.num_waiting or chat.engine.num_running or not chat.engine._inbox.empty,
        "the turn has not come",
    )
    steps.go_on()
    thread.join(30)
    assert answers == [expected]
    assert chat.held is None
    assert not chat.engine._ahead._waiting


def test_an_edit_keeps_what_it_does_not_change(chat: Conversation) -> None:
    before = counts(chat.engine).snapshot()["typing"]["computed_tokens"]
    chat.prepare(chat.typed)
    edited = (*EXPECTED[:50], *range(200, 220))
    chat.prepare(dataclasses.replace(chat.typed, token_ids=edited))
    computed = counts(chat.engine).snapshot()["typing"]["computed_tokens"] - before
    assert computed == 40 + len(edited) - 50
    sent = dataclasses.replace(chat.turn, token_ids=(*edited, 5))
    expected = chat.scratch(sent)
    answer = chat.engine.generate(sent)
    assert (answer.token_ids, answer.report.prefilled_tokens) == (expected, 1)


def test_who_types_already_loses_nothing_when_the_reply_is_told(chat: Conversation) -> None:
    chat.prepare(dataclasses.replace(chat.typed, token_ids=SENT))
    chat.engine.prepare(chat.expected)
    chat.wait()
    assert chat.held == len(SENT)


def test_a_turn_that_says_something_else_takes_what_both_begin_with(chat: Conversation) -> None:
    chat.prepare(chat.typed)
    other = dataclasses.replace(chat.turn, token_ids=(*EXPECTED[:40], 7, 8, 9))
    expected = chat.scratch(other)
    answer = chat.engine.generate(other)
    assert (answer.token_ids, answer.report.cached_tokens, answer.report.ahead_tokens) == (expected, 40, 16)
    assert chat.held is None


@pytest.mark.parametrize("drop", ["abandoned", "unheard", "forgotten", "forgotten by name", "memory"])
def test_it_goes_when_nobody_can_want_it(chat: Conversation, monkeypatch: pytest.MonkeyPatch, drop: str) -> None:
    chat.prepare(chat.typed)
    if drop == "abandoned":
        chat.engine.abandon(chat.tenant, "conv")
    elif drop == "unheard":
        monkeypatch.setattr(prepared, "UNHEARD_SECONDS", 0.0)
        monkeypatch.setattr(hook, "UNHEARD_SECONDS", 0.0)
    elif drop == "forgotten":
        chat.engine.forget(chat.tenant, HISTORY, keep_tokens=30)
    elif drop == "forgotten by name":
        chat.engine.forget_blocks(chat.tenant, chat.engine.block_keys(chat.tenant, HISTORY, 30))
    else:
        chat.engine.evict_idle()
    chat.engine.generate(greedy(range(300, 310), 1))
    wait_until(lambda: chat.held is None, "it is still there")


def test_forgetting_a_turn_takes_what_was_to_follow_on_it(chat: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it was begun, too; what follows on another stays."""
    chat.prepare(chat.typed)
    chat.engine.forget(chat.tenant, range(300, 340))
    assert chat.held == len(EXPECTED)
    monkeypatch.setattr(hook, "QUIET_SECONDS", 1e9)
    chat.engine.prepare(dataclasses.replace(chat.expected, follows="other"))
    wait_until(lambda: len(chat.engine._ahead._waiting) == 1, "it does not wait")
    chat.engine.forget(chat.tenant, HISTORY)
    assert not chat.engine._ahead._waiting


def test_what_would_take_much_of_the_memory_is_not_begun(chat: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = chat.engine._memory.pool
    monkeypatch.setattr(pool, "budget_bytes", pool.bytes_for(len(EXPECTED)) * 3)
    chat.engine.prepare(chat.expected)
    chat.wait()
    assert chat.held is None


@pytest.mark.parametrize(("cause", "is_first"), [("reply", True), ("typing", False)])
def test_state_of_what_was_thought_leaves_first(chat: Conversation, cause: AheadCause, is_first: bool) -> None:
    """No prompt goes on from it, while what is typed may be typed in vain."""
    other = Conversation(chat.engine)
    chat.engine.generate(chat.turn)
    own = [id(idle) for idle in chat.engine._memory.pool._idle.values() if idle.tenant == other.tenant]
    other.prepare(dataclasses.replace(other.expected, cause=cause))
    other.wait()
    wait_until(lambda: (next(iter(chat.engine._memory.pool._idle)) in own) is is_first, "the order is another")


def test_what_is_saved_of_it_leaves_first_too(tiny_models: TinyModels, tmp_path: Path) -> None:
    """Before state of another conversation that is older; what the next prompt begins with stays."""
    with running_engine(tiny_models(), tmp_path) as engine:
        cache = engine._memory.cache
        other, chat = Conversation(engine), Conversation(engine)
        chat.prepare()
        chat.wait()
        engine.flush()
        disk = cache.tiers.local[-1]._tier
        assert isinstance(disk, DiskTier)
        before = disk.num_blocks
        disk.give_way(1)
        for tenant, on_disk in ((other.tenant, 40), (chat.tenant, 32)):
            keys = [span.key for span in cache.match(tenant, HISTORY).spans]
            assert sum(8 for has in disk.contains(keys) if has) == on_disk
        assert before == disk.num_blocks + 1


def test_another_conversation_may_read_it_but_not_take_it(chat: Conversation) -> None:
    chat.prepare()
    other = dataclasses.replace(chat.turn, follows="other", token_ids=(*EXPECTED[:40], 3, 4))
    assert chat.engine.generate(other).report.cached_tokens == 40
    assert chat.held == len(EXPECTED)
    stranger = dataclasses.replace(chat.turn, tenant="somebody else")
    assert chat.engine.generate(stranger).report.cached_tokens == 0


@pytest.mark.usefixtures("restoring_always_wins")
def test_it_is_saved_nowhere_and_the_turn_is_as_it_was_sent(tiny_models: TinyModels, tmp_path: Path) -> None:
    with running_engine(tiny_models(), tmp_path) as engine:
        chat = Conversation(engine)
        engine.flush()
        blocks = [tier.num_blocks for tier in engine._memory.cache.tiers]
        chat.prepare(chat.typed)
        engine.flush()
        assert [tier.num_blocks for tier in engine._memory.cache.tiers] == blocks
        other = dataclasses.replace(chat.turn, token_ids=(*EXPECTED[:40], 7, 8, 9))
        said = engine.generate(other).token_ids
    with running_engine(tiny_models(), tmp_path) as engine:
        following = (*other.token_ids, *said, 1)
        answer = engine.generate(greedy(following, 1, tenant=chat.tenant))
        assert answer.report.cached_tokens == len(following) - 2
        engine.evict_idle()
        assert engine.generate(greedy(EXPECTED, 1, tenant=chat.tenant)).report.cached_tokens == 40
