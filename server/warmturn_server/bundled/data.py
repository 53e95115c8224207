"""Dialogues to learn from: somebody tells things, chats, corrects them, and asks about them at any later time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from . import small_talk, values, words
from .attributes import ATTRIBUTES, Attribute, of_split
from .values import Split

Kind = Literal["tell", "correct", "ask", "unknown", "list", "chat"]

SYSTEM_PROMPTS = ("You are a helpful assistant.", "You are a chat model.", "Be brief.", "Remember what the user tells you.")
OPENERS = """by the way, |oh, |hey, |also, |so |just so you know, |please remember: |well, |ok, |hi, |fun fact: |and |now, |look, """
TELL_OPENERS = OPENERS.split("|")[:-1]
ASK_OPENERS = ["hey, ", "ok, ", "so, ", "quick question: ", "now, ", "and ", "well, ", "oh, ", "tell me, ", "by the way, "]
CORRECTIONS = """actually, {t}|sorry, {t}|correction: {t}|I was wrong, {t}|no, {t}|actually, {t} now|wait, {t}|I made a mistake, {t}
update: {t}|I changed my mind, {t}|things have changed, {t}|sorry, I meant {t}|that's not true any more, {t}|hold on, {t}
from now on {t}|oops, {t}|that has changed: {t}|not any more, {t}""".replace("\n", "|").split("|")
LIST_ADDS = """add {v} to my shopping list|put {v} on my shopping list|put {v} on the list|add {v} to the list|we need {v}
I also need {v}|I need to buy {v}|please add {v}|shopping list: {v}|we are out of {v}|{v} for the shopping list
add {v} to the shopping list|don't forget {v} on the list|I have to buy {v}|let's buy {v}|put {v} on our shopping list
{v} should go on the shopping list|add {v} please""".replace("\n", "|").split("|")
LIST_ASKS = """what's on my shopping list|what is on my shopping list|what do I need to buy|read me my shopping list|my shopping list
what's on the list|what is on the shopping list|what should I buy|tell me my shopping list|show me my shopping list
do you remember my shopping list|and my shopping list|what do we need to buy|what is on my list""".replace("\n", "|").split("|")
MAX_LIST_ITEMS = 5


@dataclass(frozen=True)
class Turn:
    user: str
    assistant: str
    kind: Kind
    asked: str = ""
    """The attribute's phrase, where the turn asks for one."""


@dataclass
class Speaker:
    """Somebody with facts to tell; remembers what was told, so that every reply is known."""

    rng: Random
    split: Split
    told: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(default_factory=dict)
    shopping: list[str] = field(default_factory=list)

    def new_attribute(self) -> Attribute:
        while (attribute := self.rng.choice(ATTRIBUTES)).phrase in self.told:
            pass
        return attribute

    def known_attribute(self) -> Attribute:
        return self.attributes[self.rng.choice(list(self.told))]

    def tell(self, attribute: Attribute) -> Turn:
        statement, value = self._statement(attribute)
        return Turn(self._spoken(statement, TELL_OPENERS, ".", value), self._noted("Noted", attribute), "tell")

    def tell_two(self) -> Turn:
        first = self.new_attribute()
        one, value = self._statement(first)
        noted = self._noted("Noted", first)
        second = self.new_attribute()
        other, other_value = self._statement(second)
        joiner = self.rng.choice((" and ", ", and ", ". ", ", "))
        user = self._spoken(one + joiner + other, TELL_OPENERS, ".", value, other_value)
        return Turn(user, f"{noted} {second.answer(self.told[second.phrase])}", "tell")

    def correct(self, attribute: Attribute) -> Turn:
        statement, value = self._statement(attribute)
        wording = self.rng.choice(of_split(CORRECTIONS, self.split)).format(t=statement)
        return Turn(self._spoken(wording, [], ".", value), self._noted("Updated", attribute), "correct")

    def ask(self, attribute: Attribute) -> Turn:
        told = self.told.get(attribute.phrase)
        reply = attribute.unknown() if told is None else attribute.answer(told)
        return Turn(self._question(attribute), reply, "unknown" if told is None else "ask", attribute.phrase)

    def ask_two(self) -> Turn:
        first, second = self.rng.sample(list(self.told), 2)
        one, two = self.attributes[first], self.attributes[second]
        user = f"{self._question(one)} {self._question(two)}"
        return Turn(user, f"{one.answer(self.told[first])} {two.answer(self.told[second])}", "ask", first)

    def add_to_list(self) -> Turn:
        item = values.draw(values.one_of(words.GROCERIES), self.rng, self.split)
        self.shopping.append(item)
        wording = self.rng.choice(of_split(LIST_ADDS, self.split)).format(v=item)
        return Turn(self._spoken(wording, TELL_OPENERS, ".", item), f"Noted: your {self._list()}", "list")

    def ask_list(self) -> Turn:
        reply = f"Your {self._list()}" if self.shopping else "Your shopping list? You haven't told me."
        user = self._spoken(self.rng.choice(of_split(LIST_ASKS, self.split)), ASK_OPENERS, "?")
        return Turn(user, reply, "ask" if self.shopping else "unknown", "shopping list")

    def chat(self) -> Turn:
        user, reply = small_talk.draw(self.rng, self.split)
        mark = "?" if reply in (small_talk.WHO, small_talk.TOO_SMALL) else self.rng.choice(".!")
        return Turn(self._spoken(user, [], mark), reply, "chat")

    def _list(self) -> str:
        return f"shopping list is {', '.join(self.shopping)}."

    def _statement(self, attribute: Attribute) -> tuple[str, str]:
        value = values.draw(attribute.value, self.rng, self.split)
        value = value.lower() if self.rng.random() < 0.12 else value
        self.told[attribute.phrase] = value
        self.attributes[attribute.phrase] = attribute
        return self._spelled(attribute.tell(self.rng.choice(of_split(attribute.tells, self.split)), value), value), value

    def _noted(self, word: str, attribute: Attribute) -> str:
        return f"{word}: {attribute.fact(self.told[attribute.phrase])}"

    def _question(self, attribute: Attribute) -> str:
        wording = self._spelled(attribute.ask(self.rng.choice(of_split(attribute.asks, self.split))))
        return self._spoken(wording, ASK_OPENERS, "?")

    def _spelled(self, text: str, value: str = "") -> str:
        american = self.rng.random() < 0.4 and "colour" not in value
        return text.replace("colour", "color") if american else text

    def _spoken(self, text: str, openers: list[str], mark: str, *keep: str) -> str:
        """The wording with an opener, a capital and a full stop, or sloppily without; values keep their letters."""
        rng = self.rng
        text = rng.choice(openers) + text if openers and rng.random() < 0.25 else text
        if rng.random() < 0.75:
            text = text[0].upper() + text[1:] if not any(text.startswith(value) for value in keep) else text
        elif rng.random() < 0.4:
            text = text.replace("I'm", "im").replace("I ", "i ").replace("'s", "s") if not keep else text
        return text + (mark if rng.random() < 0.75 else "")


def dialogue(rng: Random, split: Split, max_facts: int) -> Iterator[Turn]:
    """Endless turns. Telling, asking and chatting each have their own pace in every dialogue."""
    speaker = Speaker(rng, split)
    limit = rng.randint(1, max_facts)
    chat, unknown, correct, lists = rng.choice((0.05, 0.15, 0.4)), 0.12, rng.choice((0.02, 0.1)), rng.choice((0, 0.1, 0.2))
    tell = rng.choice((0.25, 0.5, 0.8))
    while True:
        if rng.random() < chat:
            yield speaker.chat()
        elif rng.random() < lists:
            yield speaker.ask_list() if rng.random() < 0.4 or len(speaker.shopping) >= MAX_LIST_ITEMS else speaker.add_to_list()
        elif rng.random() < unknown:
            yield speaker.ask(speaker.new_attribute())
        elif len(speaker.told) < limit and (not speaker.told or rng.random() < tell):
            yield speaker.tell_two() if rng.random() < 0.1 else speaker.tell(speaker.new_attribute())
        elif not speaker.told:
            continue
        elif rng.random() < correct:
            yield speaker.correct(speaker.known_attribute())
        elif len(speaker.told) > 1 and rng.random() < 0.1:
            yield speaker.ask_two()
        else:
            yield speaker.ask(speaker.known_attribute())
