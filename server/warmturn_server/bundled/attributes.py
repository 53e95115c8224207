"""What the model can be told and asked: every attribute, its wordings, and the one form in which the model says it.

The user's wordings vary; the model's do not. Telling and answering use the same words just before the value
(`your cat is Mirelo`), so that recall is finding the last place where these words stood and copying what followed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from . import values, wordings, words
from .values import Split, Value


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
        return self.phrase.removeprefix("favourite ")

    def tell(self, rng: Random, split: Split, value: str) -> str:
        wording = rng.choice(wordings.of_split(wordings.tells(self.family), split))
        return wording.format(k=self.key, b=self.verb, v=value)

    def ask(self, rng: Random, split: Split) -> str:
        wording = rng.choice(wordings.of_split(wordings.asks(self.family), split))
        return wording.format(k=self.key, b=self.verb)

    def fact(self, value: str) -> str:
        return f"your {self.phrase} {self.verb} {value}."

    def answer(self, value: str) -> str:
        return f"Your {self.phrase} {self.verb} {value}."

    def unknown(self) -> str:
        return f"Your {self.phrase}? You haven't told me."


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
}


def _attributes() -> list[Attribute]:
    named = [Attribute(key, values.name, "called") for key in words.PETS + words.PEOPLE + words.NAMED]
    things = [Attribute(key, values.spot, "spot") for key in words.THINGS]
    plural = [Attribute(key, values.spot, "spot", "are") for key in words.PLURAL_THINGS]
    favourites = [Attribute(f"favourite {key}", value, "favourite") for key, value in _FAVOURITES.items()]
    codes = [Attribute(key, values.code, "plain") for key in words.CODES]
    moments = [Attribute(key, values.moment, "moment") for key in words.MOMENTS]
    own = [
        Attribute("name", values.name, "name"),
        Attribute("city", values.city, "city"),
        Attribute("job", values.one_of(words.JOBS), "job"),
        Attribute("allergy", values.one_of(words.ALLERGENS), "allergy"),
        Attribute("birthday", values.date, "birthday"),
    ]
    return own * 4 + named * 2 + favourites * 2 + things + plural + codes + moments


# Repeated entries are drawn more often.
ATTRIBUTES: Sequence[Attribute] = tuple(_attributes())


def unheard_of(rng: Random, split: Split) -> Attribute:
    """A thing with a made-up word for it: the model must copy what it is called, too."""
    phrase = values.draw(values.invented, rng, split).lower()
    phrase = f"{rng.choice(words.ADJECTIVES)} {phrase}" if rng.random() < 0.2 else phrase
    return rng.choice(
        (
            Attribute(phrase, values.name, "called"),
            Attribute(phrase, values.spot, "spot"),
            Attribute(phrase, values.name, "plain"),
            Attribute(f"favourite {phrase}", values.name, "favourite"),
        )
    )
