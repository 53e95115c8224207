"""How many tokens a mode may compute."""

from collections.abc import Iterator

import pytest

from warmturn.cli.demo.allowance import MOST_TOKENS, Allowance


def _seconds(allowance: Allowance, token_seconds: list[float], reply_tokens: int) -> Iterator[float]:
    """What each turn takes of a mode whose tokens, the first one too, take so long, with replies of so many."""
    allowance.expect(token_seconds[0])
    for seconds in token_seconds:
        tokens = min(allowance.tokens(), reply_tokens)
        allowance.spent(seconds, tokens * seconds, tokens)
        yield tokens * seconds


def test_a_slow_mode_gets_so_much_time_and_each_turn_some_of_it() -> None:
    growing = [0.05 * 1.25**turn for turn in range(14)]
    taken = list(_seconds(Allowance(25.0, 14, 2), growing, 48))
    assert sum(48 * seconds for seconds in growing) > 100
    assert sum(taken) < 26, "each gets a few tokens anyway"
    assert max(taken) < 2 * min(taken)
    assert all(seconds >= 2 * token for seconds, token in zip(taken, growing, strict=True))


def test_a_fast_one_is_asked_for_everything() -> None:
    assert list(_seconds(Allowance(25.0, 23, 2), [0.01] * 23, 30)) == [pytest.approx(0.3)] * 23


@pytest.mark.parametrize(("first", "tokens"), [(0.15, 9), (0.55, 5), (1.0, 4), (9.0, 4)])
def test_a_first_token_that_takes_long_leaves_time_for_fewer_others(first: float, tokens: int) -> None:
    taken = first + 47 * 0.1
    allowance = Allowance(taken + 1.1, 2, 4)
    allowance.spent(first, taken, 48)
    assert allowance.tokens() == tokens


def test_what_it_leaves_out_is_told_in_seconds_of_its_own_pace() -> None:
    allowance = Allowance(20.0, 2, 2)
    allowance.spent(1.0, 1.0 + 4 * 0.25, 5)
    assert allowance.left_out_seconds(8) == pytest.approx(2.0)
    allowance.spent(1.0, 1.5, 1)
    assert allowance.left_out_seconds(8) == pytest.approx(2.0), "one token has no pace"
    assert Allowance(20.0, 2, 2).tokens() == MOST_TOKENS
