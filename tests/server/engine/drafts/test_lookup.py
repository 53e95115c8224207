"""Guesses follow the longest match, the latest of equally long ones, and never reach from one text into another."""

import random

import pytest

from warmturn_server.engine.drafts.lookup import Guess, Lookup


def guess(text: list[int], *others: list[int], count: int = 4) -> Guess:
    return Lookup(others, text, capacity=100).guess(count)


@pytest.mark.parametrize(
    ("text", "others", "expected"),
    [
        pytest.param([1, 2, 3, 4, 5, 6, 1, 2], [], Guess(2, (3, 4, 5, 6)), id="as-before"),
        pytest.param([1, 2, 9, 1, 2, 8, 7, 1, 2], [], Guess(2, (8, 7, 1, 2)), id="the-latest"),
        pytest.param([5, 1, 2, 9, 1, 2, 8, 5, 1, 2], [], Guess(3, (9, 1, 2, 8)), id="the-longest"),
        pytest.param([7, 1, 2, 1, 2], [], Guess(2, (1, 2, 1, 2)), id="what-repeats-itself-goes-on"),
        pytest.param([4, 4, 4], [], Guess(2, (4, 4, 4, 4)), id="one-token-over-and-over"),
        pytest.param([1, 2, 3, 9, 2], [], Guess(), id="one-token-alone-is-no-match"),
        pytest.param([1, 2, 3], [], Guess(), id="nothing-like-it"),
        pytest.param([3], [], Guess(), id="hardly-a-text"),
        pytest.param([6, 1, 2], [[1, 2, 5]], Guess(2, (5,)), id="another-text-and-no-further-than-its-end"),
        pytest.param([6, 1, 2], [[5, 1], [2, 7]], Guess(), id="no-match-over-two-texts"),
        pytest.param([1, 2, 3, 6, 1, 2], [[6, 1, 2, 8]], Guess(3, (8,)), id="another-text-that-is-more-alike"),
        pytest.param([6, 1, 2, 3, 6, 1, 2], [[6, 1, 2, 8]], Guess(3, (3, 6, 1, 2)), id="its-own-words-first"),
        pytest.param([6, 1, 2], [[9, 9, 6, 1, 2]], Guess(3, ()), id="where-another-text-ends-nothing-follows"),
    ],
)
def test_what_is_guessed(text: list[int], others: list[list[int]], expected: Guess) -> None:
    assert guess(text, *others) == expected


def test_it_keeps_up_with_a_text_that_grows() -> None:
    chance = random.Random(0)
    text = [chance.randrange(5) for _ in range(90)]
    growing = Lookup([[1, 2, 3, 4]], text[:3], capacity=90)
    for length in range(3, 90):
        growing.keep_up(text[:length])
        whole = Lookup([[1, 2, 3, 4]], text[:length], capacity=90)
        assert growing.guess(7) == whole.guess(7)
        assert growing.guess(7).matched <= 32
