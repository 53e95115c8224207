"""Everything that is neither told nor asked: greetings, thanks, chat, and questions the model is too small for."""

from dataclasses import dataclass
from random import Random

from . import values, wordings, words
from .values import Split

WELL = "I'm well, thank you."
WHO = "I'm a very small model. I can remember what you tell me and answer questions about it."
TOO_SMALL = "I'm only a very small model, so I can't help with that. I can remember what you tell me."
NOT_KNOWN = "I don't know that. I only know what you tell me."
THANKED = "You're welcome!"
JOKES = (
    "What is brown and sticky? A stick.",
    "Why do bees hum? They forgot the words.",
    "What do you call a fish without an eye? A fsh.",
    "Why did the scarecrow win a prize? He was outstanding in his field.",
    "How does the ocean say hello? It waves.",
    "Why did the elephant buy no notebook? An elephant never forgets.",
)
ONE_BY_ONE = "I can forget one thing at a time. Which one?"


@dataclass(frozen=True)
class Topic:
    name: str
    reply: str
    weight: float
    marks: str = ".!"
    """How what is said may end."""


TOPICS = (
    Topic("greeting", "Hello! Tell me things, and I will remember them.", 1.0),
    Topic("feeling", WELL, 0.7, "?"),
    Topic("thanks", THANKED, 1.0),
    Topic("farewell", "Goodbye! I will remember what you told me.", 0.6),
    Topic("right", "Good!", 0.4),
    Topic("praise", "Thank you!", 0.6),
    Topic("wrong", "I'm sorry. Please tell me again.", 0.6),
    Topic("offer", "Yes, tell me, and I will remember it.", 0.6, ".?"),
    Topic("joke", JOKES[0], 0.7, "?.!"),
    Topic("forget_all", ONE_BY_ONE, 0.25, ".!"),
    Topic("identity", WHO, 1.2, "???."),
    Topic("statement", "I see.", 3.5),
    Topic("question", TOO_SMALL, 3.0, "???."),
)
JOKE = next(topic for topic in TOPICS if topic.name == "joke")
_WEIGHTS = [topic.weight for topic in TOPICS]
_SLOTS = {
    "f": words.FOODS,
    "d": words.DRINKS,
    "x": words.ANIMALS,
    "p": words.SPORTS,
    "a": words.ADJECTIVES,
    "s": words.SPOTS,
    "w": words.WEEKDAYS,
    "o": words.PEOPLE,
    "q": words.PETS,
    "t": words.THINGS,
    "i": [str(number) for number in range(100)],
}


def draw(rng: Random, split: Split, phrasing: Split) -> tuple[str, Topic]:
    """Something said in passing."""
    (topic,) = rng.choices(TOPICS, _WEIGHTS)
    return about(topic, rng, split, phrasing), topic


def reply_to(said: str, topic: Topic) -> str:
    """What is asked about the world is not known, everything else that is wanted cannot be done."""
    is_about_world = topic.name == "question" and said.split(" ")[0].lower() in words.INTERROGATIVES
    return NOT_KNOWN if is_about_world else topic.reply


def about(topic: Topic, rng: Random, split: Split, phrasing: Split) -> str:
    return fill(rng.choice(wordings.small_talk(topic.name, phrasing)), rng, split)


def fill(wording: str, rng: Random, split: Split) -> str:
    while "{" in wording:
        at = wording.index("{")
        wording = wording[:at] + _word(wording[at + 1], rng, split) + wording[at + 3 :]
    return wording


def _word(slot: str, rng: Random, split: Split) -> str:
    if slot in _SLOTS:
        return rng.choice(_SLOTS[slot])
    return values.draw(values.city if slot == "c" else values.name, rng, split)
