"""Random values for facts: partly real words, partly strings that never occurred, so that guessing cannot work."""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from . import words

Split = Literal["train", "held_out"]
Single = Callable[[Random], str]


@dataclass(frozen=True)
class Several:
    """`Rex and Luna`; two, three or four of a kind, or `share` of the time only."""

    each: Single
    share: float = 1.0


Value = Single | Several

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ACCENTED = "éèüöäñçåøíóúłšžßëêîãœ"


def is_held_out(value: str) -> bool:
    """One value in eight is never trained on, in any capitalisation."""
    return zlib.crc32(value.lower().encode()) % 8 == 0


def draw(make: Value, rng: Random, split: Split) -> str:
    """A value that belongs to the split; word lists too short to have one fall back to an invented word."""
    if isinstance(make, Several):
        return _several(make, rng, split)
    for _ in range(40):
        value = make(rng)
        if is_held_out(value) == (split == "held_out"):
            return value
    return draw(invented, rng, split)


def _several(make: Several, rng: Random, split: Split) -> str:
    count = rng.choice((2, 2, 2, 2, 3, 3, 4)) if rng.random() < make.share else 1
    return joined([draw(make.each, rng, split) for _ in range(count)], rng)


def joined(parts: Sequence[str], rng: Random) -> str:
    """`Rex`, `Rex and Luna`, `Rex, Luna and Tom`."""
    if len(parts) < 2:
        return parts[0]
    last = rng.choice((" and ", " and ", " and ", " and ", " & ", ", and " if len(parts) > 2 else " and "))
    return ", ".join(parts) if rng.random() < 0.12 else ", ".join(parts[:-1]) + last + parts[-1]


def count_in_words(value: str) -> str:
    """How many `joined` put together, up to four."""
    return ("one", "two", "three", "four")[len(re.split(r",? and |, | & ", value)) - 1]


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
    if kind < 0.94:
        return dotted_name(rng)
    joiner = rng.choice("  -")
    return f"{rng.choice((rng.choice(words.FIRST_NAMES), invented(rng)))}{joiner}{invented(rng)}"


def dotted_name(rng: Random) -> str:
    """`Dr. Okafor`, `Ursula K. Le Guin`."""
    if rng.random() < 0.6:
        return f"{rng.choice(words.DOTTED_TITLES)} {invented(rng)}"
    first = rng.choice((rng.choice(words.FIRST_NAMES), invented(rng), f"{rng.choice(_LETTERS).upper()}."))
    return f"{first} {rng.choice(_LETTERS).upper()}. {invented(rng)}"


def email(rng: Random) -> str:
    """`dave.mirelo@example.com`"""
    who = [rng.choice((rng.choice(words.FIRST_NAMES), invented(rng))).lower() for _ in range(rng.choice((1, 1, 2)))]
    digits = str(rng.randrange(1, 100)) if rng.random() < 0.2 else ""
    return f"{rng.choice('._-').join(who)}{digits}@{_host(rng)}"


def website(rng: Random) -> str:
    return rng.choice(("", "www.", "www.")) + _host(rng)


def _host(rng: Random) -> str:
    name = rng.choice(words.DOMAINS) if rng.random() < 0.4 else invented(rng).lower()
    return f"{name}.{rng.choice(words.TOP_DOMAINS)}"


def city(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(words.CITIES)
    if kind < 0.65:
        return invented(rng)
    first = rng.choice((rng.choice(words.CITY_FIRST), invented(rng)))
    return f"{first} {rng.choice((rng.choice(words.CITY_SECOND), invented(rng)))}"


def one_of(options: Sequence[str]) -> Single:
    """Mostly a real word of the kind, often an invented one, sometimes an adjective before it."""

    def value(rng: Random) -> str:
        word = rng.choice(options) if rng.random() < 0.6 else invented(rng).lower()
        return f"{rng.choice(words.ADJECTIVES)} {word}" if rng.random() < 0.12 else word

    return value


def title(rng: Random) -> str:
    """A book, a film, a song."""
    if rng.random() < 0.3:
        return _plain_title(rng)
    parts = [invented(rng) for _ in range(rng.choice((1, 1, 2)))]
    parts += [rng.choice(words.SPOTS).capitalize()] if rng.random() < 0.4 else []
    return ("The " if rng.random() < 0.4 else "") + " ".join(parts)


def _plain_title(rng: Random) -> str:
    noun, other = (rng.choice((words.SPOTS, words.ANIMALS, words.FLOWERS, words.PETS)) for _ in (0, 1))
    first, second = rng.choice(noun).title(), rng.choice(other).title()
    adjective = rng.choice(words.ADJECTIVES).title()
    return rng.choice(
        (f"The {adjective} {first}", f"{first} of {second}", f"The {first} and the {second}", f"{adjective} {first}")
    )


def hobby(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(words.HOBBIES)
    if kind < 0.8:
        return f"{rng.choice(('collecting', 'painting', 'making', 'watching'))} {rng.choice(words.ANIMALS)}"
    return f"{rng.choice(('collecting', 'playing', 'building', 'restoring'))} {invented(rng).lower()}"


def number(rng: Random) -> str:
    return str(rng.randrange(10 ** rng.randint(1, 3)))


def age(rng: Random) -> str:
    return str(rng.randint(1, 99))


def code(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.6:
        return "".join(rng.choice("0123456789") for _ in range(rng.randint(3, 6)))
    if kind < 0.7:
        return " ".join("".join(rng.choice("0123456789") for _ in range(3)) for _ in range(rng.randint(2, 3)))
    if kind < 0.8:
        return f"{rng.choice(_LETTERS).upper()}{rng.choice(_LETTERS).upper()} {rng.randrange(10, 9999)}"
    if kind < 0.87:
        return f"{rng.choice(words.COLOURS)}-{rng.choice(words.ANIMALS)}-{rng.randrange(100)}"
    if kind < 0.93:
        return f"{rng.randrange(1, 60)}{rng.choice('ABCDEF')}"
    return "".join(rng.choice(_LETTERS + "0123456789") for _ in range(rng.randint(4, 7)))


def address(rng: Random) -> str:
    """A house in a street: `12 Mirelo Street`."""
    street = rng.choice((invented(rng), rng.choice(words.FIRST_NAMES), rng.choice(words.FLOWERS).capitalize()))
    return f"{rng.randrange(1, 300)} {street} {rng.choice(('Street', 'Road', 'Lane', 'Avenue', 'Square', 'Way'))}"


def spot(rng: Random) -> str:
    """Where a thing is: `in the blue drawer`, `under Mirelo's bed`, `with my sister`."""
    kind = rng.random()
    if kind < 0.04:
        return rng.choice((f"with my {rng.choice(words.PEOPLE)}", f"at my {rng.choice(words.PEOPLE)}'s house"))
    if kind < 0.07:
        return rng.choice((f"at {name(rng)}'s house", f"with {name(rng)}", f"at {name(rng)}'s place"))
    noun = rng.choice(words.SPOTS) if rng.random() < 0.75 else invented(rng).lower()
    owner = f"{name(rng)}'s" if kind < 0.15 else rng.choice(("the", "the", "the", "the", "my", "a"))
    adjective = rng.choice(words.ADJECTIVES) if rng.random() < 0.7 else invented(rng).lower()
    middle = f"{adjective} " if kind < 0.6 else ""
    place = f"{rng.choice(words.PREPOSITIONS)} {owner} {middle}{noun}"
    if rng.random() < 0.06:
        return f"{place} {rng.choice(words.PREPOSITIONS)} the {rng.choice(words.SPOTS)}"
    return place


def moment(rng: Random) -> str:
    """When something is: `on Tuesday at 3 pm`, `at 9:30`, `next Friday`, `tomorrow at noon`."""
    clock, day = _clock(rng), rng.choice(words.WEEKDAYS)
    part = rng.choice(("morning", "afternoon", "evening"))
    return rng.choice(
        (
            f"on {day} {clock}",
            f"on {day} {clock}",
            f"on {day} {clock}",
            clock,
            f"on {day}",
            f"on {date(rng)}",
            f"on {date(rng)} {clock}",
            f"{rng.choice(('next', 'this'))} {day}",
            f"{rng.choice(('next', 'this'))} {day} {clock}",
            f"{rng.choice(('tomorrow', 'today', 'tonight'))} {clock}",
            f"tomorrow {part}",
            f"on {day} {part}",
            f"in {rng.randint(2, 12)} {rng.choice(('days', 'weeks', 'hours'))}",
        )
    )


def _clock(rng: Random) -> str:
    hour, minute = rng.randint(1, 12), rng.randrange(0, 60, 5)
    half = rng.choice(("am", "pm"))
    return rng.choice(
        (
            f"at {hour} {half}",
            f"at {hour}{half}",
            f"at {hour}:{minute:02}",
            f"at {hour}:{minute:02} {half}",
            f"at {hour} o'clock",
            f"at half past {hour}",
            f"at {rng.randint(13, 23)}:{minute:02}",
            rng.choice(("at noon", "at midnight", f"at {hour}")),
        )
    )


def date(rng: Random) -> str:
    day, month = rng.randint(1, 31), rng.choice(words.MONTHS)
    nth = f"{day}{'th' if 4 <= day <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"
    year = rng.randint(1930, 2030)
    return rng.choice(
        (
            f"{day} {month}",
            f"{day} {month}",
            f"{month} {day}",
            f"{month} {day}",
            f"{month} {nth}",
            f"{nth} of {month}",
            f"the {nth} of {month}",
            f"{day} {month} {year}",
            f"{month} {day}, {year}",
        )
    )
