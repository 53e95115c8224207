"""What guesses came to decides how many are tried."""

from warmturn_server.engine.drafts.acceptance import Acceptance, agreeing
from warmturn_server.engine.drafts.lookup import Guess

SHORT, LONG = Guess(2, (1, 2, 3)), Guess(20, (1, 2, 3))


def test_guesses_that_come_true_are_believed_and_others_are_not() -> None:
    right, wrong = Acceptance(), Acceptance()
    for _ in range(20):
        right.learn(SHORT, [1, 2, 3, 4])
        wrong.learn(SHORT, [9])
    assert right.rate(SHORT) > 0.95
    assert wrong.rate(SHORT) < 0.05
    assert right.rate(LONG) == wrong.rate(LONG) == Acceptance().rate(LONG) > Acceptance().rate(SHORT)


def test_a_text_that_changes_is_followed() -> None:
    acceptance = Acceptance()
    for _ in range(50):
        acceptance.learn(LONG, [9])
    for _ in range(15):
        acceptance.learn(LONG, [1])
    assert acceptance.rate(LONG) > 0.75


def test_only_what_was_reached_counts() -> None:
    """Behind a token that was wrong nothing is known of the others, nor where the text ended."""
    one, other = Acceptance(), Acceptance()
    one.learn(Guess(4, (1, 2, 3, 4)), [1, 9, 3, 4])
    other.learn(Guess(4, (1, 2)), [1, 9])
    assert one.rate(LONG) == other.rate(LONG)
    ended = Acceptance()
    ended.learn(SHORT, [1, 2])
    assert ended.rate(SHORT) > Acceptance().rate(SHORT)


def test_agreeing() -> None:
    assert [agreeing((1, 2), said) for said in ([], [1], [1, 2, 3], [2, 1], [1, 3])] == [0, 1, 2, 0, 1]
