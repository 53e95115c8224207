"""Random values for facts: partly real words, partly strings that never occurred, so that guessing cannot work."""

import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal

from . import words

Split = Literal["train", "held_out"]
Value = Callable[[Random], str]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ACCENTED = "éèüöäñçåøíóúłšžßëêîãœ"


def is_held_out(value: str) -> bool:
    """One value in eight is never trained on, in any capitalisation."""
    return zlib.crc32(value.lower().encode()) % 8 == 0


def draw(make: Value, rng: Random, split: Split) -> str:
    """A value that belongs to the split; word lists too short to have one fall back to an invented word."""
    for _ in range(40):
        value = make(rng)
        if is_held_out(value) == (split == "held_out"):
            return value
    return draw(invented, rng, split)


def invented(rng: Random) -> str:
    """A word that looks like a name: `Mirelo`, `Skouth`, `Zoë`, `QXRT`."""
    kind = rng.random()
    if kind < 0.75:
        syllables = rng.choice((1, 2, 2, 2, 3, 3))
        word = "".join(_syllable(rng) for _ in range(syllables))
    else:
        word = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(2, 8)))
    if rng.random() < 0.04:
        at = rng.randrange(len(word) + 1)
        word = word[:at] + rng.choice(_ACCENTED) + word[at:]
    return word.upper() if kind > 0.97 else word.capitalize()


def _syllable(rng: Random) -> str:
    return rng.choice(words.SYLLABLE_ONSETS) + rng.choice(words.SYLLABLE_VOWELS) + rng.choice(words.SYLLABLE_CODAS)


def name(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(words.FIRST_NAMES)
    if kind < 0.86:
        return invented(rng)
    if kind < 0.9:
        return f"{rng.choice(('Mr', 'Mrs', 'Dr', 'Miss', 'Sir', 'Lady', 'Captain'))} {invented(rng)}"
    joiner = rng.choice("  -")
    return f"{rng.choice((rng.choice(words.FIRST_NAMES), invented(rng)))}{joiner}{invented(rng)}"


def city(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(words.CITIES)
    if kind < 0.65:
        return invented(rng)
    first = rng.choice((rng.choice(words.CITY_FIRST), invented(rng)))
    return f"{first} {rng.choice((rng.choice(words.CITY_SECOND), invented(rng)))}"


def one_of(options: Sequence[str]) -> Value:
    """Mostly a real word of the kind, often an invented one, sometimes an adjective before it."""

    def value(rng: Random) -> str:
        word = rng.choice(options) if rng.random() < 0.6 else invented(rng).lower()
        return f"{rng.choice(words.ADJECTIVES)} {word}" if rng.random() < 0.12 else word

    return value


def title(rng: Random) -> str:
    """A book, a film, a song."""
    parts = [invented(rng) for _ in range(rng.choice((1, 1, 2)))]
    parts += [rng.choice(words.SPOTS).capitalize()] if rng.random() < 0.4 else []
    return ("The " if rng.random() < 0.4 else "") + " ".join(parts)


def number(rng: Random) -> str:
    return str(rng.randrange(10 ** rng.randint(1, 3)))


def code(rng: Random) -> str:
    if rng.random() < 0.8:
        return "".join(rng.choice("0123456789") for _ in range(rng.randint(3, 6)))
    return "".join(rng.choice(_LETTERS + "0123456789") for _ in range(rng.randint(4, 7)))


def spot(rng: Random) -> str:
    """Where a thing is: `in the blue drawer`, `under Mirelo's bed`."""
    kind = rng.random()
    noun = rng.choice(words.SPOTS) if rng.random() < 0.75 else invented(rng).lower()
    owner = f"{name(rng)}'s" if kind < 0.12 else rng.choice(("the", "the", "the", "my", "a"))
    owner = "the" if owner == "my" else owner
    adjective = rng.choice(words.ADJECTIVES) if rng.random() < 0.7 else invented(rng).lower()
    middle = f"{adjective} " if kind < 0.6 else ""
    return f"{rng.choice(words.PREPOSITIONS)} {owner} {middle}{noun}"


def moment(rng: Random) -> str:
    """When something is: `on Tuesday at 3 pm`, `at 9:30`."""
    hour = rng.randint(1, 12)
    clock = rng.choice((f"at {hour} {rng.choice(('am', 'pm'))}", f"at {hour}:{rng.randrange(0, 60, 5):02}"))
    day = f"on {rng.choice(words.WEEKDAYS)}"
    return rng.choice((f"{day} {clock}", f"{day} {clock}", clock, day, f"on {date(rng)}"))


def date(rng: Random) -> str:
    day, month = rng.randint(1, 31), rng.choice(words.MONTHS)
    return rng.choice((f"{day} {month}", f"{month} {day}"))
