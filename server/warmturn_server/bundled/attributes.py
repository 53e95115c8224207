"""What the model can be told and asked: every attribute, its wordings, and the one form in which the model says it.

The user's wordings vary; the model's do not. Telling and answering use the same words just before the value
(`your cat is Mirelo`), so that recall is finding the last place where these words stood and copying what followed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from . import values, words
from .values import Split, Value


@dataclass(frozen=True)
class Attribute:
    phrase: str
    value: Value
    tells: Sequence[str]
    asks: Sequence[str]
    verb: str = "is"

    @property
    def key(self) -> str:
        """The noun in the user's wordings."""
        return self.phrase.removeprefix("favourite ")

    def tell(self, wording: str, value: str) -> str:
        return wording.format(k=self.key, b=self.verb, v=value)

    def ask(self, wording: str) -> str:
        return wording.format(k=self.key, b=self.verb)

    def fact(self, value: str) -> str:
        return f"your {self.phrase} {self.verb} {value}."

    def answer(self, value: str) -> str:
        return f"Your {self.phrase} {self.verb} {value}."

    def unknown(self) -> str:
        return f"Your {self.phrase}? You haven't told me."


def of_split(wordings: Sequence[str], split: Split) -> Sequence[str]:
    """Every sixth wording is never trained on."""
    return [wording for index, wording in enumerate(wordings) if (index % 6 == 5) == (split == "held_out")]


CALLED_TELLS = """my {k} is called {v}|my {k}'s name is {v}|I have a {k} called {v}|I have a {k} named {v}|we have a {k}, {v}
my {k} is named {v}|{v} is my {k}|{v} is the name of my {k}|{v} is what we call our {k}|our {k} is {v}|my {k} is {v}
our {k}'s name is {v}|the name of my {k} is {v}|I call my {k} {v}|my {k}, {v}, says hello|this is {v}, my {k}
remember that my {k} is {v}|{v} is how we call our {k}|my {k}'s name: {v}|my {k} goes by {v}|everyone calls my {k} {v}
our {k} is called {v}|you should know that my {k} is called {v}|I've got a {k} called {v}|our {k} goes by the name {v}
the {k} is called {v}|we named our {k} {v}|let me tell you about my {k} {v}|{k}: {v}|I named my {k} {v}
my {k} has the name {v}|there is my {k}, called {v}|the name of our {k} is {v}|my {k} {v} is here""".replace("\n", "|").split("|")
CALLED_ASKS = """what is my {k} called|what's my {k}'s name|who is my {k}|do you remember my {k}'s name|what did I call my {k}
what is the name of my {k}|tell me my {k}'s name|can you tell me what my {k} is called|my {k}|and my {k}|what about my {k}
do you remember what my {k} is called|remind me what my {k} is called|do you know my {k}'s name|what was my {k} called
what was the name of my {k}|what name does my {k} have|what is my {k}'s name|how is my {k} called|and what is my {k} called
who was my {k}|what is our {k} called|what do we call our {k}|do you still know my {k}'s name|what's the {k} called
what's my {k} called|what is the name of our {k}|say my {k}'s name""".replace("\n", "|").split("|")
SPOT_TELLS = """I put my {k} {v}|I left my {k} {v}|my {k} {b} {v}|I keep my {k} {v}|you'll find my {k} {v}|the {k} {b} {v}
my {k} {b} always {v}|I stored my {k} {v}|I hid my {k} {v}|I've put the {k} {v}|remember that my {k} {b} {v}|I placed my {k} {v}
we keep the {k} {v}|I dropped my {k} {v}|I have put my {k} {v}|my {k}: {v}|I just put my {k} {v}|our {k} {b} {v}
the {k} can be found {v}|I forgot my {k} {v}""".replace("\n", "|").split("|")
SPOT_ASKS = """where {b} my {k}|where did I put my {k}|where did I leave my {k}|do you remember where my {k} {b}|where do I keep my {k}
where can I find my {k}|and my {k}|what about my {k}|I can't find my {k}, where {b} it|where {b} the {k}|tell me where my {k} {b}
where have I put my {k}|do you know where my {k} {b}|I'm looking for my {k}|where did the {k} go|remind me where I put my {k}
can you tell me where my {k} {b}|where exactly {b} my {k}""".replace("\n", "|").split("|")
FAVOURITE_TELLS = """my favourite {k} is {v}|my favorite {k} is {v}|{v} is my favourite {k}|{v} is my favorite {k}
the {k} I like best is {v}|my best-loved {k} is {v}|I think the best {k} is {v}|remember my favourite {k}: {v}
when it comes to a {k}, I like {v}|of every {k}, I like {v} most|my favourite {k} has always been {v}
the {k} I love most is {v}|favourite {k}: {v}|my favourite {k} must be {v}|my favourite {k} would be {v}
{v} is the best {k} of all|if I had to pick a {k}, I would pick {v}|{v} is the {k} I like most""".replace("\n", "|").split("|")
FAVOURITE_ASKS = """what is my favourite {k}|what's my favorite {k}|which {k} do I like best|do you remember my favourite {k}
what {k} do I like most|what's my favourite {k}|and my favourite {k}|tell me my favourite {k}|what is my favorite {k}
do you know my favourite {k}|which {k} is my favourite|which {k} do I like most|what was my favourite {k}
which {k} do I love most|what did I say my favourite {k} was|what about my favourite {k}|what {k} do I prefer
what {k} is my favourite""".replace("\n", "|").split("|")
PLAIN_TELLS = """my {k} is {v}|my {k} is now {v}|{v} is my {k}|remember that my {k} is {v}|the {k} I have is {v}|our {k} is {v}
my {k}: {v}|the {k} is {v}|as for my {k}, it is {v}|my {k} happens to be {v}|please remember my {k}, {v}|you should know my {k} is {v}
{k}: {v}|my {k} would be {v}""".replace("\n", "|").split("|")
PLAIN_ASKS = """what is my {k}|what's my {k}|do you remember my {k}|tell me my {k}|and my {k}|what was my {k}|what about my {k}
do you know my {k}|remind me of my {k}|can you tell me my {k}|what did I say my {k} was|say my {k}""".replace("\n", "|").split("|")
MOMENT_TELLS = """my {k} is {v}|I have a {k} {v}|there is a {k} {v}|my {k} will be {v}|remember that my {k} is {v}|I've got a {k} {v}
the {k} is {v}|my {k} starts {v}|our {k} is {v}|I booked a {k} {v}|my {k}: {v}|my {k} takes place {v}""".replace("\n", "|").split("|")
MOMENT_ASKS = """when is my {k}|what time is my {k}|do you remember when my {k} is|when did I say my {k} is|and my {k}|when's my {k}
when is the {k}|what about my {k}|tell me when my {k} is|when do I have my {k}|remind me when my {k} is|when will my {k} be
when does my {k} start""".replace("\n", "|").split("|")

_NAME_TELLS = """my name is {v}|I'm {v}|I am {v}|call me {v}|you can call me {v}|people call me {v}|{v} is my name|the name's {v}|it's {v}
this is {v}|my name's {v}|everyone calls me {v}|hi, I'm {v}|hello, my name is {v}|hey, {v} here|please call me {v}|I go by {v}
hello, I'm {v}""".replace("\n", "|").split("|")
_NAME_ASKS = """what is my name|what's my name|who am I|do you remember my name|do you know my name|what am I called|tell me my name
what was my name|say my name|do you know who I am|and my name|do you still know my name""".replace("\n", "|").split("|")
_CITY_TELLS = """I live in {v}|my home is in {v}|I'm from {v}|I come from {v}|my city is {v}|we live in {v}|my home town is {v}
I moved to {v}|I just moved to {v}|home is {v}|I'm living in {v}|my city is called {v}|I live near {v}""".replace("\n", "|").split("|")
_CITY_ASKS = """where do I live|which city do I live in|what is my city|where is my home|where am I from|what city do I live in
what's my city|do you remember where I live|do you know where I live|in which city do I live|tell me where I live
what city am I in|and my city""".replace("\n", "|").split("|")
_JOB_TELLS = """I work as a {v}|I'm a {v} by trade|my job is {v}|I am a {v} for a living|I earn my money as a {v}|I have a job as a {v}
my profession is {v}|I work as {v}|for work I'm a {v}|I make a living as a {v}|I'm employed as a {v}""".replace("\n", "|").split("|")
_JOB_ASKS = """what is my job|what do I do for a living|what's my job|what do I work as|do you remember my job|what is my profession
what do I do|do you know what I do for a living|what was my job|tell me my job|and my job|say what my job is""".replace("\n", "|").split("|")
_ALLERGY_TELLS = """I'm allergic to {v}|I am allergic to {v}|I have an allergy to {v}|my allergy is {v}|I can't have {v}, I'm allergic
I get a rash from {v}, I'm allergic|{v} gives me an allergy|remember, I'm allergic to {v}""".replace("\n", "|").split("|")
_ALLERGY_ASKS = """what am I allergic to|what is my allergy|do I have an allergy|what's my allergy|do you remember what I'm allergic to
do you know my allergy|and my allergy|what was I allergic to""".replace("\n", "|").split("|")
_BIRTHDAY_TELLS = """my birthday is {v}|I was born on {v}|my birthday is on {v}|{v} is my birthday|I celebrate my birthday on {v}
my date of birth is {v}|remember my birthday: {v}|I have my birthday on {v}""".replace("\n", "|").split("|")
_BIRTHDAY_ASKS = """when is my birthday|what is my birthday|when was I born|do you remember my birthday|when's my birthday
what day is my birthday|do you know my birthday|and my birthday|on which day is my birthday""".replace("\n", "|").split("|")

PETS = "cat dog rabbit parrot hamster horse goldfish turtle snake goat pony kitten puppy lizard chicken duck".split()
PEOPLE = """sister brother mother father wife husband friend boss neighbour teacher son daughter cousin aunt uncle doctor
grandmother grandfather nephew niece partner dentist landlord colleague coach girlfriend boyfriend roommate mum dad baby""".split()
NAMED = "boat car school street team company village robot plant teddy".split()
THINGS = """wallet phone passport umbrella bike bag laptop charger camera hat coat ticket notebook hammer torch watch ring
backpack scarf medicine tent ladder toolbox""".split()
PLURAL_THINGS = "keys glasses shoes gloves headphones papers scissors tickets boots medals letters photos".split()
FAVOURITES: dict[str, Value] = {
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
CODES = ["door code", "locker code", "alarm code", "room number", "wifi password", "flight number", "locker number", "seat"]
MOMENTS = "meeting appointment train flight exam party interview lesson concert dinner lunch holiday wedding rehearsal".split()


def _attributes() -> list[Attribute]:
    named = [Attribute(key, values.name, CALLED_TELLS, CALLED_ASKS) for key in PETS + PEOPLE + NAMED]
    things = [Attribute(key, values.spot, SPOT_TELLS, SPOT_ASKS) for key in THINGS]
    plural = [Attribute(key, values.spot, SPOT_TELLS, SPOT_ASKS, "are") for key in PLURAL_THINGS]
    favourites = [
        Attribute(f"favourite {key}", value, FAVOURITE_TELLS, FAVOURITE_ASKS) for key, value in FAVOURITES.items()
    ]
    codes = [Attribute(key, values.code, PLAIN_TELLS, PLAIN_ASKS) for key in CODES]
    moments = [Attribute(key, values.moment, MOMENT_TELLS, MOMENT_ASKS) for key in MOMENTS]
    own = [
        Attribute("name", values.name, _NAME_TELLS, _NAME_ASKS),
        Attribute("city", values.city, _CITY_TELLS, _CITY_ASKS),
        Attribute("job", values.one_of(words.JOBS), _JOB_TELLS, _JOB_ASKS),
        Attribute("allergy", values.one_of(words.ALLERGENS), _ALLERGY_TELLS, _ALLERGY_ASKS),
        Attribute("birthday", values.date, _BIRTHDAY_TELLS, _BIRTHDAY_ASKS),
    ]
    return own * 4 + named * 2 + favourites * 2 + things + plural + codes + moments


# Repeated entries are drawn more often.
ATTRIBUTES: Sequence[Attribute] = tuple(_attributes())
