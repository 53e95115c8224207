"""Dialogues to learn from: somebody tells things, chats, corrects them, and asks about them at any later time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from . import small_talk, values, words
from .attributes import ATTRIBUTES, Attribute, unheard_of
from .values import Split
from .wordings import ASK_OPENERS, CORRECTIONS, TAILS, TELL_OPENERS, asks, of_split, tells

Kind = Literal["tell", "correct", "ask", "unknown", "list", "chat"]

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
    """Of the values."""
    phrasing: Split
    told: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(default_factory=dict)
    shopping: list[str] = field(default_factory=list)

    def new_attribute(self) -> Attribute:
        while (attribute := self._any_attribute()).phrase in self.told:
            pass
        return attribute

    def _any_attribute(self) -> Attribute:
        return unheard_of(self.rng, self.split) if self.rng.random() < 0.12 else self.rng.choice(ATTRIBUTES)

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
        wording = self.rng.choice(of_split(CORRECTIONS, self.phrasing)).format(t=statement)
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
        while (item := values.draw(values.one_of(words.GROCERIES), self.rng, self.split)) in self.shopping:
            pass
        self.shopping.append(item)
        wording = self.rng.choice(of_split(tells("shopping_list"), self.phrasing)).format(v=item)
        return Turn(self._spoken(wording, TELL_OPENERS, ".", item), f"Noted: your {self._list()}", "list")

    def ask_list(self) -> Turn:
        reply = f"Your {self._list()}" if self.shopping else "Your shopping list? You haven't told me."
        user = self._spoken(self.rng.choice(of_split(asks("shopping_list"), self.phrasing)), ASK_OPENERS, "?")
        return Turn(user, reply, "ask" if self.shopping else "unknown", "shopping list")

    def chat(self) -> Turn:
        user, reply = small_talk.draw(self.rng, self.split, self.phrasing)
        mark = "?" if reply in small_talk.REPLIES_TO_QUESTIONS else self.rng.choice(".!")
        return Turn(self._spoken(user, [], mark), reply, "chat")

    def _list(self) -> str:
        return f"shopping list is {', '.join(self.shopping)}."

    def _statement(self, attribute: Attribute) -> tuple[str, str]:
        value = values.draw(attribute.value, self.rng, self.split)
        value = value.lower() if self.rng.random() < 0.12 else value
        self.told[attribute.phrase] = value
        self.attributes[attribute.phrase] = attribute
        return self._spelled(attribute.tell(self.rng, self.phrasing, value), value), value

    def _noted(self, word: str, attribute: Attribute) -> str:
        return f"{word}: {attribute.fact(self.told[attribute.phrase])}"

    def _question(self, attribute: Attribute) -> str:
        return self._spoken(self._spelled(attribute.ask(self.rng, self.phrasing)), ASK_OPENERS, "?")

    def _spelled(self, text: str, value: str = "") -> str:
        american = self.rng.random() < 0.4 and "colour" not in value
        return text.replace("colour", "color") if american else text

    def _spoken(self, text: str, openers: list[str], mark: str, *keep: str) -> str:
        """The wording with opener, tail, capital and full stop, or sloppily without; values keep their letters."""
        rng = self.rng
        text = rng.choice(openers) + text if openers and rng.random() < 0.25 else text
        text = text + rng.choice(of_split(TAILS, self.phrasing)) if keep and rng.random() < 0.15 else text
        if keep and all(value == value.lower() for value in keep) and rng.random() < 0.5:
            text = text.lower()
        elif rng.random() < 0.75:
            text = text[0].upper() + text[1:] if not any(text.startswith(value) for value in keep) else text
        elif not keep and rng.random() < 0.5:
            text = text.replace("I'm", "im").replace("I ", "i ").replace("'s", "s")
        curly = rng.random() < 0.06 and not any("'" in value for value in keep)
        text = text.replace("'", "\u2019") if curly else text
        return text + (mark if rng.random() < 0.75 and not text.endswith(")") else "")


def dialogue(rng: Random, split: Split, max_facts: int) -> Iterator[Turn]:
    """Endless turns. Telling, asking and chatting each have their own pace in every dialogue."""
    speaker = Speaker(rng, split, split)
    limit = rng.randint(1, max_facts)
    chat, correct = rng.choice((0.05, 0.15, 0.4, 0.8)), rng.choice((0.05, 0.25))
    lists, tell = rng.choice((0, 0.1, 0.3)), rng.choice((0.25, 0.5, 0.8))
    while True:
        if rng.random() < chat:
            yield speaker.chat()
        elif rng.random() < lists:
            full = len(speaker.shopping) >= MAX_LIST_ITEMS
            yield speaker.ask_list() if rng.random() < 0.4 or full else speaker.add_to_list()
        elif rng.random() < 0.14:
            yield speaker.ask(speaker.new_attribute())
        elif len(speaker.told) < limit and (not speaker.told or rng.random() < tell):
            yield speaker.tell_two() if rng.random() < 0.1 else speaker.tell(speaker.new_attribute())
        elif not speaker.told:
            continue
        elif rng.random() < correct:
            told = speaker.known_attribute()
            yield speaker.correct(told) if rng.random() < 0.75 else speaker.tell(told)
        elif len(speaker.told) > 1 and rng.random() < 0.1:
            yield speaker.ask_two()
        else:
            yield speaker.ask(speaker.known_attribute())
