"""Everything that is neither told nor asked: greetings, thanks, chat, and questions the model is too small for."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from . import values, words
from .attributes import of_split
from .values import Split

WHO = "I'm a very small model. I can remember what you tell me and answer questions about it."
TOO_SMALL = "I'm only a very small model, so I can't help with that. I can remember what you tell me."


@dataclass(frozen=True)
class Topic:
    wordings: Sequence[str]
    reply: str
    weight: float


GREETING = Topic(
    """hello|hi|hey|good morning|hi there|good day|good evening|hello there|hey there|hello you|good afternoon|howdy|hey you
hi, nice to meet you|hello, is anyone there|hello model|greetings|nice to meet you""".replace("\n", "|").split("|"),
    "Hello! Tell me things, and I will remember them.",
    1.0,
)
FEELING = Topic(
    """how are you|how are you today|how is it going|are you well|how do you feel|how's it going|how are you doing
how have you been|are you ok|what's up|how was your day|is everything fine""".replace("\n", "|").split("|"),
    "I'm well, thank you.",
    0.7,
)
THANKS = Topic(
    """thanks|thank you|thanks a lot|great, thanks|thank you very much|thanks, that's right|cool, thank you|perfect, thanks
that's right|well done|good job|correct|yes, that's it|very good|nice|wonderful, thank you|exactly|great""".replace(
        "\n", "|"
    ).split("|"),
    "You're welcome!",
    1.0,
)
FAREWELL = Topic(
    "bye|goodbye|see you|good night|see you later|bye bye|until tomorrow|talk to you later|I have to go now|so long".split("|"),
    "Goodbye! I will remember what you told me.",
    0.4,
)
IDENTITY = Topic(
    """who are you|what are you|what can you do|are you a robot|are you human|what do you know|tell me about yourself|help
how can you help me|are you an AI|which model are you|what's your name|what is your name|who made you|are you a person
what can I ask you|how do you work|are you smart|do you have a name""".replace("\n", "|").split("|"),
    WHO,
    1.0,
)
STATEMENT = Topic(
    """it's raining today|the weather is {a} today|I'm tired|I had {f} for lunch|work was long today|I slept well|I'm bored
I watched a film yesterday|I met {n} today|we went to {c} yesterday|the sun is shining|I'm going for a walk|I feel good
{n} says hello|I just came home|today was a good day|it's cold outside|I'm drinking {d}|I'm reading a book|I'm a bit sad
{n} was here today|I like {f}|what a day|it's late|I can't sleep|the {s} is {a}|I saw some {x} today|we played {p}
I'm happy|I think it will snow|the bus was late|I cleaned the {s} today|{n} and {n} came to visit|I'm listening to music
ok|I see|well|let me think|hmm|never mind|fine|just a moment|all right|I'm back|it's {w} already|the {s} needs paint
I had a dream about {x}|{n} told me a story|I went to the market|my feet hurt|I'm cooking {f}|I lost a bet|I won a game""".replace(
        "\n", "|"
    ).split("|"),
    "I see.",
    3.0,
)
QUESTION = Topic(
    """what is the capital of {c}|how do I cook {f}|write a poem about {x}|what is {i} plus {i}|who wrote the book {n}|who is {n}
what do {x} eat|tell me a joke|translate {f} into French|do you like {x}|what's the weather in {c}|why is the sky {a}
how far is {c}|what time is it|can you write code|how old is {n}|do you like {f}|sing a song|what is {f}|what day is it
where is {c}|how many {x} are there|what is the meaning of life|how do I get to {c}|can {x} swim|tell me a story|who won the match
what should I cook today|recommend a film|how tall is {n}|explain {p} to me|what is {i} times {i}|when did {n} die
give me a recipe for {f}|can you play {p}|is {d} healthy|which is better, {d} or {d}|tell me about {x}|what happened in {c}
how do I fix a {s}|write an email to {n}|what does {n} mean|are {x} dangerous|how does a {s} work|who invented the {s}
count to {i}|tell me the news|what should I do today""".replace("\n", "|").split("|"),
    TOO_SMALL,
    2.0,
)
TOPICS = (GREETING, FEELING, THANKS, FAREWELL, IDENTITY, STATEMENT, QUESTION)


def draw(rng: Random, split: Split) -> tuple[str, str]:
    """One exchange of small talk."""
    (topic,) = rng.choices(TOPICS, [topic.weight for topic in TOPICS])
    return fill(rng.choice(of_split(topic.wordings, split)), rng, split), topic.reply


def fill(wording: str, rng: Random, split: Split) -> str:
    lists = {"f": words.FOODS, "d": words.DRINKS, "x": words.ANIMALS, "p": words.SPORTS, "a": words.ADJECTIVES}
    for slot, options in (lists | {"s": words.SPOTS, "w": words.WEEKDAYS}).items():
        wording = wording.replace("{" + slot + "}", rng.choice(options))
    wording = wording.replace("{i}", str(rng.randrange(100))).replace("{c}", values.draw(values.city, rng, split))
    while "{n}" in wording:
        wording = wording.replace("{n}", values.draw(values.name, rng, split), 1)
    return wording
