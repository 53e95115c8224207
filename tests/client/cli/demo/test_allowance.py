"""How much the slowest mode may compute."""

from collections.abc import Iterator

import pytest

from warmturn.cli.demo.allowance import Allowance


def _seconds(allowance: Allowance, token_seconds: list[float], reply_tokens: int) -> Iterator[float]:
    """What each turn takes whose tokens take so long, with replies of so many tokens."""
    allowance.expect(token_seconds[0])
    for seconds in token_seconds:
        tokens = min(allowance.tokens(), reply_tokens)
        allowance.spent(tokens * seconds, tokens)
        yield tokens * seconds


def test_the_slowest_mode_gets_so_much_time_and_each_turn_some_of_it() -> None:
    growing = [0.05 * 1.25**turn for turn in range(14)]
    taken = list(_seconds(Allowance(25.0, 14), growing, 48))
    assert sum(48 * seconds for seconds in growing) > 100
    assert sum(taken) < 26, "each gets a few tokens anyway"
    assert max(taken) < 2 * min(taken)
    assert all(seconds >= 2 * token for seconds, token in zip(taken, growing, strict=True))


def test_a_fast_model_is_asked_for_everything() -> None:
    assert list(_seconds(Allowance(25.0, 23), [0.01] * 23, 30)) == [pytest.approx(0.3)] * 23
