"""How the replies of three modes are held against each other."""

import pytest
from tests.client.fake_server import response

from warmturn.cli.demo.compared import compared
from warmturn.cli.demo.measure import Measured
from warmturn.cli.demo.result import DemoTurn
from warmturn.wire import REUSE_MODES, ReuseMode, parse_turn

WHOLE = (1, 2, 4, 5)


def replied(ids: tuple[int, ...], *, cached_tokens: int = 0, status: str = "completed") -> Measured:
    reply = response("hi", output_token_ids=ids, cached_tokens=cached_tokens, status=status)
    return Measured(parse_turn(reply), 1.0, 2.0)


def turn_of(asked: int = 48, /, **measured: Measured) -> DemoTurn:
    """With whole replies in the modes that are not given."""
    replies: dict[ReuseMode, Measured] = {mode: measured.get(mode, replied(WHOLE)) for mode in REUSE_MODES}
    return compared(1, replies, {"state": 48, "prompt": asked, "nothing": asked})


@pytest.mark.parametrize("mode", ["prompt", "nothing"])
@pytest.mark.parametrize(("said", "same"), [((1, 2), True), ((1, 3), False), ((1,), True)])
def test_a_reply_that_is_cut_short_is_compared_as_far_as_it_goes(
    mode: ReuseMode, said: tuple[int, ...], same: bool
) -> None:
    """One that is cut in the middle of a character has fewer tokens than were asked for."""
    turn = turn_of(2, **{mode: replied(said, status="incomplete")})
    assert (turn.same_tokens, turn.reply_tokens) == (same, 4)
    assert turn.left_out_tokens == {"prompt": 0, "nothing": 0, mode: 4 - len(said)}


@pytest.mark.parametrize("mode", ["prompt", "nothing"])
@pytest.mark.parametrize("said", [(), (1, 2), (1, 2, 4), (1, 2, 4, 5, 6), (1, 2, 4, 6)])
def test_one_that_ends_by_itself_is_compared_whole(mode: ReuseMode, said: tuple[int, ...]) -> None:
    assert turn_of().same_tokens
    turn = turn_of(2, **{mode: replied(said)})
    assert (turn.same_tokens, set(turn.left_out_tokens.values())) == (False, {0})


def test_a_mode_that_reuses_what_it_must_not_is_noticed() -> None:
    assert turn_of(state=replied(WHOLE, cached_tokens=9)).wrongly_cached == {}
    for mode in ("prompt", "nothing"):
        assert turn_of(48, **{mode: replied(WHOLE, cached_tokens=9)}).wrongly_cached == {mode: 9}
