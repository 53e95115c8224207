"""Dialogues to learn from: somebody tells things, chats, corrects them, and asks about them at any later time."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from . import rough, small_talk, values, words
from .attributes import ATTRIBUTES, NAMED_BY_KEY, Attribute, unheard_of
from .values import Split
from .wordings import around, asks, tells

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
    slips: bool = False
    """Makes typing errors and uses words that the model never heard, as in training."""
    told: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, Attribute] = field(default_factory=dict)
    shopping: list[str] = field(default_factory=list)
    corrected: list[str] = field(default_factory=list)
    latest: Attribute | None = None
    """What the last turn told, if it told one thing."""

    def new_attribute(self) -> Attribute:
        while (attribute := self._any_attribute()).phrase in self.told:
            pass
        return attribute

    def _any_attribute(self) -> Attribute:
        return unheard_of(self.rng, self.split) if self.rng.random() < 0.12 else self.rng.choice(ATTRIBUTES)

    def known_attribute(self) -> Attribute:
        among = self.corrected if self.corrected and self.rng.random() < 0.25 else list(self.told)
        return self.attributes[self.rng.choice(among)]

    def tell(self, attribute: Attribute) -> Turn:
        statement, value = self._statement(attribute)
        self.latest = attribute
        return Turn(self._told(statement, value), self._noted("Noted", attribute), "tell")

    def tell_two(self) -> Turn:
        first = self.new_attribute()
        one, value = self._statement(first)
        noted = self._noted("Noted", first)
        second = self.new_attribute()
        other, other_value = self._statement(second)
        joiner = self.rng.choice((" and ", ", and ", ". ", ", ", " and also ", ". Also, ", "! "))
        user = self._told(one + joiner + other, value, other_value)
        return Turn(user, f"{noted} {second.answer(self.told[second.phrase])}", "tell")

    def correct(self, attribute: Attribute) -> Turn:
        statement, value = self._statement(attribute, self._like_the_old(attribute))
        wording = self._worded(around("corrections", self.phrasing)).format(t=statement)
        self.latest = attribute
        self.corrected.append(attribute.phrase)
        return Turn(self._spoken(wording, ".", keep=(value,)), self._noted("Updated", attribute), "correct")

    def amend(self, attribute: Attribute) -> Turn:
        """At once, and without saying again what it is about: `No wait, it's Tom.`"""
        old = self.told[attribute.phrase]
        value = self._value(attribute, self._like_the_old(attribute))
        opener = self._opener("amend_openers", 0.6)
        wording = opener + self.rng.choice(around("amendments", self.phrasing)).format(v=value, o=old)
        self.corrected.append(attribute.phrase)
        return Turn(self._spoken(wording, ".", keep=(value, old)), self._noted("Updated", attribute), "correct")

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
        items = [self._new_item()]
        if self.rng.random() < 0.15:
            items.append(self._new_item())
        wording = self._worded(tells("shopping_list", self.phrasing)).format(v=" and ".join(items))
        return Turn(self._told(wording, *items), f"Noted: your {self._list()}", "list")

    def _new_item(self) -> str:
        while (item := values.draw(values.one_of(words.GROCERIES), self.rng, self.split)) in self.shopping:
            pass
        self.shopping.append(item)
        return item

    def ask_list(self) -> Turn:
        reply = f"Your {self._list()}" if self.shopping else "Your shopping list? You haven't told me."
        user = self._asked(self._worded(asks("shopping_list", self.phrasing)))
        return Turn(user, reply, "ask" if self.shopping else "unknown", "shopping list")

    def chat(self) -> Turn:
        user, topic = small_talk.draw(self.rng, self.split, self.phrasing)
        if self.slips and self.rng.random() < 0.06:
            user = rough.typo(user, self.rng)
        elif self.slips and topic.name in ("statement", "question") and self.rng.random() < 0.06:
            user = rough.unknown_word(user, self.rng, first=2)
        return Turn(self._spoken(user, self.rng.choice(topic.marks)), topic.reply, "chat")

    def _list(self) -> str:
        return f"shopping list is {', '.join(self.shopping)}."

    def _statement(self, attribute: Attribute, value: str = "") -> tuple[str, str]:
        value = self._value(attribute, value)
        family = attribute.family
        wording = self._worded(tells(family, self.phrasing), unknown=family in NAMED_BY_KEY)
        return self._spelled(attribute.tell(wording, value), value), value

    def _value(self, attribute: Attribute, value: str) -> str:
        """Remembers it as the model will say it: what is `my car` for the user is `your car` for the model."""
        value = value or values.draw(attribute.value, self.rng, self.split)
        value = value.lower() if self.rng.random() < 0.15 else value
        self.told[attribute.phrase] = re.sub(r"\bmy\b", "your", value)
        self.attributes[attribute.phrase] = attribute
        return value

    def _like_the_old(self, attribute: Attribute) -> str:
        """Sometimes, in training, a value that begins as the old one does: `Pim`, then `Pom`."""
        old = self.told.get(attribute.phrase, "")
        if not self.slips or not old.isalpha() or len(old) < 3 or self.rng.random() > 0.3:
            return ""
        at = self.rng.randrange(1, len(old))
        value = old[:at] + self.rng.choice("aeioubdklmnrst") + old[at + self.rng.randrange(2) :]
        return "" if value == old or values.is_held_out(value) else value

    def _worded(self, wordings: Sequence[str], unknown: bool = False) -> str:
        wording = self.rng.choice(wordings)
        if self.slips and self.rng.random() < 0.06:
            return rough.typo(wording, self.rng)
        if self.slips and unknown and self.rng.random() < 0.06:
            return rough.unknown_word(wording, self.rng, first=0)
        return wording

    def _noted(self, word: str, attribute: Attribute) -> str:
        return f"{word}: {attribute.fact(self.told[attribute.phrase])}"

    def _question(self, attribute: Attribute) -> str:
        return self._asked(self._spelled(attribute.ask(self._worded(asks(attribute.family, self.phrasing)))))

    def _spelled(self, text: str, value: str = "") -> str:
        if self.rng.random() < 0.4 and "our" not in value:
            text = text.replace("colour", "color").replace("favourite", "favorite")
        return text

    def _opener(self, place: str, share: float) -> str:
        return self.rng.choice(around(place, self.phrasing)) if self.rng.random() < share else ""

    def _told(self, statement: str, *keep: str) -> str:
        text = self._opener("tell_openers", 0.3) + statement
        tail = self.rng.choice(around("tails", self.phrasing)) if self.rng.random() < 0.2 else ""
        is_question = text.startswith(("can ", "could ", "will ", "would ", "did ", "do ")) and not tail
        return self._spoken(text + tail, "?" if is_question else self.rng.choice("....!"), keep)

    def _asked(self, question: str) -> str:
        text = self._opener("ask_openers", 0.3) + question
        tail = self.rng.choice(around("ask_tails", self.phrasing)) if self.rng.random() < 0.15 else ""
        return self._spoken(text + tail.replace(". ", "? ", 1), "?")

    def _spoken(self, text: str, mark: str, keep: tuple[str, ...] = ()) -> str:
        """The wording with capital and full stop, or sloppily without; values keep their letters."""
        rng = self.rng
        if keep and all(value == value.lower() for value in keep) and rng.random() < 0.5:
            text = text.lower()
        elif rng.random() < 0.75:
            text = text[0].upper() + text[1:] if not any(text.startswith(value) for value in keep) else text
        elif not keep and rng.random() < 0.5:
            text = text.lower().replace("i'm", "im").replace("'s", "s")
        curly = rng.random() < 0.06 and not any("'" in value for value in keep)
        text = text.replace("'", "\u2019") if curly else text
        return text + (mark if rng.random() < 0.75 and text[-1].isalnum() else "")


def dialogue(rng: Random, split: Split, max_facts: int) -> Iterator[Turn]:
    """Endless turns. Telling, asking and chatting each have their own pace in every dialogue."""
    speaker = Speaker(rng, split, split, slips=split == "train")
    limit = rng.randint(1, max_facts)
    chat, correct = rng.choice((0.05, 0.15, 0.4, 0.8)), rng.choice((0.05, 0.25))
    lists, tell = rng.choice((0, 0.1, 0.3)), rng.choice((0.25, 0.5, 0.8))
    while True:
        latest, speaker.latest = speaker.latest, None
        if latest and rng.random() < 0.12:
            yield speaker.amend(latest)
        elif rng.random() < chat:
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
