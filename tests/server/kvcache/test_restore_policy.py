"""Whether a restore is worth its time, and that only who acts on the answer changes the next one."""

import pytest
from tests.support.device import DEVICE
from tests.support.state import LAYOUT, always, cache_over, filled_buffer, ram, token_ids

from warmturn_server.engine_api import MissReason
from warmturn_server.kvcache import BlockMiss, KVBuffer, PrefixCache, PrefixMatch, RestorePolicy


@pytest.fixture
def slow() -> PrefixCache:
    """A cache whose only tier has nine tokens, and gives one back a second."""
    cache = cache_over(ram())
    cache.save("", token_ids(9), filled_buffer(9).snapshot(), always)
    cache.policy.restored("ram", 9, 9.0)
    return cache


def test_what_is_slower_to_restore_is_refused_with_a_reason_until_that_is_no_longer_believed(slow: PrefixCache) -> None:
    policy, match = slow.policy, slow.match("", token_ids(9)).beyond(4)
    asked: list[tuple[int, int]] = []

    def compute_seconds(num_tokens: int, context: int) -> float:
        asked.append((num_tokens, context))
        return 4.0

    verdict = policy.worth_it(match, 4, compute_seconds)
    assert asked == [(5, 4)]
    assert verdict.expected_seconds == pytest.approx(5.0)
    assert verdict.refusal == BlockMiss(MissReason.RECOMPUTE_FASTER, match.spans[0].key, "ram")
    policy.passed_over(match)
    assert policy.restore_seconds(match) == pytest.approx(4.5)
    for _ in range(2):
        assert policy.worth_it(match, 4, compute_seconds).refusal is not None
        policy.passed_over(match)
    assert policy.worth_it(match, 4, compute_seconds).refusal is None
    assert policy.restore_seconds(match) == pytest.approx(5 * 0.9**3), "and nothing is doubted for that"


def test_to_ask_changes_nothing(slow: PrefixCache) -> None:
    policy, match = slow.policy, slow.match("", token_ids(9))
    verdicts = [policy.worth_it(match, 0, lambda *_: 1.0) for _ in range(50)]
    assert verdicts == [verdicts[0]] * 50
    assert verdicts[0].refusal is not None
    assert policy.restore_seconds(match) == pytest.approx(9.0)


def test_a_turn_that_leaves_a_match_alone_says_so_once(slow: PrefixCache) -> None:
    """What it looks up beyond its own machine; admission does the same for what is here."""
    buffer = KVBuffer(LAYOUT, DEVICE, 9)
    deadline = slow.policy.deadline(0, lambda *_: 1.0)
    passed = slow.restore_from_remote("", token_ids(9), buffer, deadline)
    assert passed.reason is MissReason.RECOMPUTE_FASTER
    assert passed.expected_seconds == pytest.approx(9.0)
    assert slow.policy.restore_seconds(slow.match("", token_ids(9))) == pytest.approx(9 * 0.9)


def test_nothing_to_restore_and_a_speed_that_nobody_knows_are_not_refused(slow: PrefixCache) -> None:
    assert slow.policy.worth_it(PrefixMatch(), 0, lambda *_: 0.0).refusal is None
    assert slow.policy.worth_it(slow.match("", token_ids(9)), 0, lambda *_: None).refusal is None
    unknown = RestorePolicy(LAYOUT, ["ram"])
    assert unknown.worth_it(slow.match("", token_ids(9)), 0, lambda *_: 0.0).refusal is None
