"""Slips and words never heard, put into wordings before their slots are filled."""

from random import Random

from .values import invented

FEW_LETTERS = 4


def typo(wording: str, rng: Random) -> str:
    """One letter too few, too many or in the wrong place."""
    words = wording.split(" ")
    long = [index for index, word in enumerate(words) if len(word) >= FEW_LETTERS and word.isalpha()]
    if not long:
        return wording
    index = rng.choice(long)
    word, at = words[index], rng.randrange(1, len(words[index]) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        words[index] = word[:at] + word[at + 1 :]
    elif kind == 1:
        words[index] = word[:at] + word[at] + word[at:]
    else:
        words[index] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def unknown_word(wording: str, rng: Random, first: int) -> str:
    """A made-up word for one of the words from the given place on."""
    words = wording.split(" ")
    places = [index for index, word in enumerate(words) if index >= first and len(word) > 2 and word.isalpha()]
    if not places:
        return wording
    words[rng.choice(places)] = invented(rng).lower()
    return " ".join(words)
