"""Everything that is neither told nor asked: greetings, thanks, chat, and questions the model is too small for."""

from dataclasses import dataclass
from random import Random

from . import values, words
from .values import Split
from .wordings import SMALL_TALK, of_split

WELL = "I'm well, thank you."
WHO = "I'm a very small model. I can remember what you tell me and answer questions about it."
TOO_SMALL = "I'm only a very small model, so I can't help with that. I can remember what you tell me."
REPLIES_TO_QUESTIONS = (WELL, WHO, TOO_SMALL)


@dataclass(frozen=True)
class Topic:
    name: str
    reply: str
    weight: float


TOPICS = (
    Topic("greeting", "Hello! Tell me things, and I will remember them.", 1.0),
    Topic("feeling", WELL, 0.7),
    Topic("thanks", "You're welcome!", 1.0),
    Topic("farewell", "Goodbye! I will remember what you told me.", 0.4),
    Topic("identity", WHO, 1.0),
    Topic("statement", "I see.", 3.0),
    Topic("question", TOO_SMALL, 2.0),
)


def draw(rng: Random, split: Split, phrasing: Split) -> tuple[str, str]:
    """One exchange of small talk."""
    (topic,) = rng.choices(TOPICS, [topic.weight for topic in TOPICS])
    return fill(rng.choice(of_split(SMALL_TALK[topic.name], phrasing)), rng, split), topic.reply


def fill(wording: str, rng: Random, split: Split) -> str:
    lists = {"f": words.FOODS, "d": words.DRINKS, "x": words.ANIMALS, "p": words.SPORTS, "a": words.ADJECTIVES}
    for slot, options in (lists | {"s": words.SPOTS, "w": words.WEEKDAYS}).items():
        wording = wording.replace("{" + slot + "}", rng.choice(options))
    wording = wording.replace("{i}", str(rng.randrange(100))).replace("{c}", values.draw(values.city, rng, split))
    while "{n}" in wording:
        wording = wording.replace("{n}", values.draw(values.name, rng, split), 1)
    return wording
