"""What the model can be told and asked: every attribute, its wordings, and the one form in which the model says it.

The user's wordings vary; the model's do not. Telling and answering use the same words just before the value
(`your cat is Mirelo`), so that recall is finding the last place where these words stood and copying what followed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from . import values, words
from .values import Split, Value

OF_OTHERS = ("lives", "works")
"""Families in which the wordings name the person, and the model says `your sister's city`."""
NAMED_BY_KEY = ("called", "group", "spot", "plain", "moment")
"""Families in which the noun alone says what is told."""

_CLAUSES = {
    "called": "what my {k} is called",
    "group": "what my {k} are called",
    "spot": "where my {k} {b}",
    "moment": "when my {k} is",
    "favourite": "which {k} I like best",
    "name": "what I'm called",
    "city": "where I live",
    "job": "what I do for a living",
    "allergy": "what I'm allergic to",
    "birthday": "when I was born",
    "age": "how old I am",
    "lives": "where my {k} lives",
    "works": "what my {k} works as",
}
NOT_TOLD, NOT_KNOWN = "You haven't told me.", "I don't know that yet."
_UNKNOWN = {
    "called": NOT_TOLD,
    "group": NOT_TOLD,
    "plain": NOT_TOLD,
    "spot": "You haven't told me where.",
    "moment": "You haven't told me when.",
}


@dataclass(frozen=True)
class Attribute:
    phrase: str
    value: Value
    family: str
    """Which wordings it is told and asked with."""
    verb: str = "is"

    @property
    def key(self) -> str:
        """The noun in the user's wordings."""
        noun = self.phrase.removeprefix("favourite ")
        return noun.removesuffix("'s city").removesuffix("'s job") if self.family in OF_OTHERS else noun

    def tell(self, wording: str, value: str) -> str:
        """The wording's `a` becomes `an` where the value begins with a vowel."""
        if " a {v}" in wording and value[0].lower() in "aeiou":
            wording = wording.replace(" a {v}", " an {v}")
        if "{n}" in wording:
            wording = wording.replace("{n}", values.count_in_words(value))
        return wording.format(k=self.key, b=self.verb, v=value)

    def ask(self, wording: str) -> str:
        return wording.format(k=self.key, b=self.verb)

    def fact(self, value: str) -> str:
        return f"your {self.phrase} {self.verb} {value}."

    def answer(self, value: str) -> str:
        return f"Your {self.phrase} {self.verb} {value}."

    def unknown(self) -> str:
        """In words that fit its kind."""
        return f"Your {self.phrase}? {_UNKNOWN.get(self.family, NOT_KNOWN)}"

    @property
    def clause(self) -> str:
        """How one speaks of it without its value: `where my keys are`."""
        return _CLAUSES.get(self.family, "my {p}").format(p=self.phrase, k=self.key, b=self.verb)


_FAVOURITES: dict[str, Value] = {
    "colour": values.one_of(words.COLOURS),
    "food": values.one_of(words.FOODS),
    "drink": values.one_of(words.DRINKS),
    "fruit": values.one_of(words.FRUITS),
    "sport": values.one_of(words.SPORTS),
    "animal": values.one_of(words.ANIMALS),
    "flower": values.one_of(words.FLOWERS),
    "season": values.one_of(words.SEASONS),
    "instrument": values.one_of(words.INSTRUMENTS),
    "book": values.title,
    "film": values.title,
    "song": values.title,
    "game": values.title,
    "band": values.title,
    "number": values.number,
    "place": values.city,
    "singer": values.name,
    "writer": values.name,
    "actor": values.name,
    "author": values.name,
    "movie": values.title,
    "show": values.title,
    "series": values.title,
    "dish": values.one_of(words.FOODS),
    "meal": values.one_of(words.FOODS),
    "dessert": values.one_of(words.DESSERTS),
    "vegetable": values.one_of(words.VEGETABLES),
    "subject": values.one_of(words.SUBJECTS),
    "day": values.one_of(words.WEEKDAYS),
    "month": values.one_of(words.MONTHS),
    "city": values.city,
    "country": values.one_of(words.COUNTRIES),
    "restaurant": values.title,
    "team": values.title,
    "bird": values.one_of(words.ANIMALS),
    "hobby": values.hobby,
}


def _attributes() -> list[Attribute]:
    named = [Attribute(key, values.name, "called") for key in words.PETS + words.PEOPLE + words.NAMED]
    groups = [Attribute(key, values.Several(values.name), "group", "are") for key in words.GROUPS]
    things = [Attribute(key, values.spot, "spot") for key in words.THINGS]
    plural = [Attribute(key, values.spot, "spot", "are") for key in words.PLURAL_THINGS]
    favourites = [Attribute(f"favourite {key}", value, "favourite") for key, value in _FAVOURITES.items()]
    codes = [Attribute(key, values.code, "plain") for key in words.CODES]
    moments = [Attribute(key, values.moment, "moment") for key in words.MOMENTS]
    dotted = [Attribute(key, values.email, "plain") for key in ("email", "email address", "work email", "e-mail")]
    dotted += [Attribute(key, values.website, "plain") for key in ("website", "homepage")]
    others = things + plural + codes * 2 + moments + dotted * 6 + _of_others()
    return list(OWN) * 20 + named * 2 + groups * 3 + favourites * 4 + others


def _own() -> list[Attribute]:
    return [
        Attribute("name", values.name, "name"),
        Attribute("city", values.city, "city"),
        Attribute("job", values.one_of(words.JOBS), "job"),
        Attribute("allergy", values.Several(values.one_of(words.ALLERGENS), 0.2), "allergy"),
        Attribute("birthday", values.date, "birthday"),
        Attribute("age", values.age, "age"),
        Attribute("hobby", values.Several(values.hobby, 0.15), "hobby"),
        Attribute("address", values.address, "plain"),
        Attribute("nickname", values.name, "plain"),
        Attribute("surname", values.name, "plain"),
        Attribute("eye colour", values.one_of(words.COLOURS), "plain"),
        Attribute("hair colour", values.one_of(words.COLOURS), "plain"),
        Attribute("lucky number", values.number, "plain"),
        Attribute("shoe size", values.number, "plain"),
    ]


def _of_others() -> list[Attribute]:
    attributes: list[Attribute] = []
    for person in words.PEOPLE[:31]:
        attributes.append(Attribute(f"{person}'s city", values.city, "lives"))
        attributes.append(Attribute(f"{person}'s job", values.one_of(words.JOBS), "works"))
        attributes.append(Attribute(f"{person}'s birthday", values.date, "plain"))
        attributes.append(Attribute(f"{person}'s age", values.age, "plain"))
        attributes.append(Attribute(f"{person}'s phone number", values.code, "plain"))
    attributes += [Attribute(f"{pet}'s birthday", values.date, "plain") for pet in words.PETS[:16]]
    attributes += [Attribute(f"{pet}'s age", values.age, "plain") for pet in words.PETS[:16]]
    return attributes


OWN: Sequence[Attribute] = tuple(_own())
# Repeated entries are drawn more often.
ATTRIBUTES: Sequence[Attribute] = tuple(_attributes())
GROUPS: Sequence[Attribute] = tuple(attribute for attribute in ATTRIBUTES if attribute.family == "group")
DOTTED: Sequence[Attribute] = tuple(one for one in ATTRIBUTES if one.value in (values.email, values.website))


def unheard_of(rng: Random, split: Split) -> Attribute:
    """A thing with a made-up word for it: the model must copy what it is called, too."""
    phrase = values.draw(values.invented, rng, split).lower()
    kind = rng.random()
    if kind < 0.2:
        phrase = f"{rng.choice(words.ADJECTIVES)} {phrase}"
    elif kind < 0.4:
        phrase = f"{rng.choice(words.ADJECTIVES)} {rng.choice(words.THINGS)}"
    elif kind < 0.5:
        phrase = f"{phrase} {rng.choice(words.THINGS + words.CODES)}"
    return rng.choice(
        (
            Attribute(phrase, values.name, "called"),
            Attribute(f"{phrase}s", values.Several(values.name), "group", "are"),
            Attribute(phrase, values.spot, "spot"),
            Attribute(phrase, values.spot, "spot"),
            Attribute(phrase, values.name, "plain"),
            Attribute(phrase, values.code, "plain"),
            Attribute(phrase, values.moment, "moment"),
            Attribute(f"favourite {phrase}", values.name, "favourite"),
        )
    )
