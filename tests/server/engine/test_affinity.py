"""Whether a turn came to a server that holds its conversation is told from its report."""

import dataclasses

import pytest
from tests.server.chat.fake_engine import report_on

from warmturn_server.engine.accounting import held_in
from warmturn_server.engine_api import GenerationRequest, ReuseMode


def held(
    known_tokens: int,
    tiers: dict[str, int],
    reuse: ReuseMode = ReuseMode.STATE,
    prefill_ms: float | None = 1.0,
    continues: bool = True,
) -> str | None:
    request = GenerationRequest(tuple(range(100)), reuse=reuse, known_tokens=known_tokens, continues=continues)
    report = dataclasses.replace(
        report_on(request),
        reuse=reuse,
        prefill_ms=prefill_ms,
        cached_tokens=sum(tiers.values()),
        cached_by_tier={"resident": 0, "ram": 0, "disk": 0, "redis": 0, **tiers},
    )
    return held_in(request, report)


@pytest.mark.parametrize(
    ("tiers", "tier"),
    [
        ({"resident": 90}, "resident"),
        ({"resident": 20, "disk": 70}, "disk"),
        ({"ram": 40, "redis": 50}, "redis"),
        ({"redis": 45}, "redis"),
        ({"ram": 44}, "nothing"),
        ({}, "nothing"),
    ],
)
def test_the_most_distant_part_decides(tiers: dict[str, int], tier: str) -> None:
    assert held(90, tiers) == tier


def test_first_turns_other_modes_and_stopped_ones_say_nothing() -> None:
    assert held(0, {"ram": 30}) is None
    assert held(30, {"ram": 30}, continues=False) is None
    assert held(90, {}, reuse=ReuseMode.PROMPT) is None
    assert held(90, {}, prefill_ms=None) is None


def test_the_last_token_is_never_expected() -> None:
    assert held(100, {"ram": 50}) == "ram"
    assert held(100, {"ram": 49}) == "nothing"
