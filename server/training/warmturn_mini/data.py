"""Dialogues to learn from: somebody tells things, chats, corrects them, and asks about them at any later time."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from . import rough, small_talk, values, words
from .attributes import ATTRIBUTES, NAMED_BY_KEY, OF_OTHERS, OWN, Attribute, unheard_of
from .memory import SHOPPING_LIST, Memory
from .values import Split
from .wordings import around, asks, people, requests, tells

Kind = Literal["tell", "correct", "ask", "unknown", "list", "forget", "sum up", "chat"]


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
    memory: Memory = field(default_factory=Memory)
    corrected: list[str] = field(default_factory=list)
    latest: Attribute | None = None
    """What the last turn told, if it told one thing."""
    jokes: int = 0
    """How many were told; they take turns."""

    def new_attribute(self) -> Attribute:
        while (attribute := self._any_attribute()).phrase in self.memory.values:
            pass
        return attribute

    def _any_attribute(self) -> Attribute:
        return unheard_of(self.rng, self.split) if self.rng.random() < 0.12 else self.rng.choice(ATTRIBUTES)

    def own_attribute(self) -> Attribute:
        """Of its user's own, as long as there is one that was not told."""
        untold = [attribute for attribute in OWN if attribute.phrase not in self.memory.values]
        return self.rng.choice(untold) if untold else self.new_attribute()

    def known_attribute(self) -> Attribute:
        known = list(self.memory.values)
        corrected = [phrase for phrase in self.corrected if phrase in self.memory.values]
        among = corrected if corrected and self.rng.random() < 0.25 else known
        return self.memory.attributes[self.rng.choice(among)]

    def tell(self, attribute: Attribute) -> Turn:
        return self._tell(attribute, "")

    def tell_anew(self, attribute: Attribute) -> Turn:
        """Another value for what is known already, without a word of correction."""
        self.corrected.append(attribute.phrase)
        return self._tell(attribute, self._beginning_alike(attribute) or self._like_the_old(attribute))

    def _tell(self, attribute: Attribute, value: str) -> Turn:
        statement, value = self._statement(attribute, value)
        self.latest = attribute
        return Turn(self._told(statement, value), self.memory.noted(attribute), "tell")

    def tell_several(self, count: int) -> Turn:
        """In one sentence, or nearly: `My name is Dave and I live in Leeds.`"""
        draw = self.own_attribute if self.rng.random() < 0.35 else self.new_attribute
        told = [(attribute, *self._statement(attribute)) for attribute in (draw() for _ in range(count))]
        text = self._strung_together([statement for _, statement, _ in told])
        reply = " ".join(self.memory.noted(attribute) for attribute, _, _ in told)
        return Turn(self._told(text, *(value for _, _, value in told)), reply, "tell")

    def _strung_together(self, statements: Sequence[str]) -> str:
        joiner = self.rng.choice((" and ", ", and ", ". ", ", ", " and also ", ". Also, ", "! "))
        *before, last = statements
        return (joiner if joiner in ("! ", ". ") else ", ").join(before) + joiner + last

    def tell_of_somebody(self) -> Turn:
        """`My sister Clara lives in Vienna.`"""
        name, about = self._somebody()
        called = self._value(name, "")
        value = self._value(about, "")
        wording = self._worded(people(about.family, self.phrasing)).replace("{w}", called)
        text = self._told(about.tell(wording, value), called, value)
        return Turn(text, f"{self.memory.noted(name)} {self.memory.noted(about)}", "tell")

    def _somebody(self) -> tuple[Attribute, Attribute]:
        """Somebody's name, and their town or their job."""
        about = self.rng.choice([attribute for attribute in ATTRIBUTES if attribute.family in OF_OTHERS])
        return Attribute(about.key, values.name, "called"), about

    def correct(self, attribute: Attribute) -> Turn:
        statement, value = self._statement(attribute, self._like_the_old(attribute))
        wording = self._worded(around("corrections", self.phrasing)).format(t=statement)
        self.latest = attribute
        self.corrected.append(attribute.phrase)
        return Turn(self._spoken(wording, ".", keep=(value,)), self.memory.noted(attribute), "correct")

    def amend(self, attribute: Attribute) -> Turn:
        """At once, and without saying again what it is about: `No wait, it's Tom.`"""
        old = self.memory.values[attribute.phrase]
        value = self._value(attribute, self._like_the_old(attribute))
        opener = self._opener("amend_openers", 0.6)
        wording = opener + self.rng.choice(around("amendments", self.phrasing)).format(v=value, o=old)
        self.corrected.append(attribute.phrase)
        return Turn(self._spoken(wording, ".", keep=(value, old)), self.memory.noted(attribute), "correct")

    def ask(self, attribute: Attribute) -> Turn:
        return self._answered(self._question(attribute), self.memory.answer(attribute), attribute.phrase)

    def _answered(self, question: str, reply: str, phrase: str) -> Turn:
        kind: Kind = "ask" if phrase in self.memory.answers else "unknown"
        return Turn(question, reply, kind, phrase)

    def ask_two(self) -> Turn:
        first, second = (self.memory.attributes[phrase] for phrase in self.rng.sample(list(self.memory.values), 2))
        user = f"{self._question(first)} {self._question(second)}"
        replies = (self.memory.answer(attribute) for attribute in (first, second))
        return Turn(user, " ".join(replies), "ask", first.phrase)

    def sum_up(self) -> Turn:
        user = self._asked(self._worded(requests("summary", self.phrasing)))
        return Turn(user, self.memory.summary(), "sum up")

    def forget(self, attribute: Attribute) -> Turn:
        """`Forget my name.`; refused like a question where it was never told."""
        what = attribute.clause if self.rng.random() < 0.3 else f"my {attribute.phrase}"
        wording = self._worded(requests("forget", self.phrasing)).format(t=self._spelled(what))
        is_known = attribute.phrase in self.memory.values
        reply = self.memory.forget(attribute) if is_known else self.memory.answer(attribute)
        return Turn(self._requested(wording), reply, "forget", attribute.phrase)

    def add_to_list(self, count: int) -> Turn:
        items = [self._new_item() for _ in range(count)]
        wording = self._worded(tells("shopping_list", self.phrasing)).format(v=values.joined(items, self.rng))
        return Turn(self._told(wording, *items), self.memory.put_on_list(items), "list")

    def _new_item(self) -> str:
        while (item := values.draw(values.one_of(words.GROCERIES), self.rng, self.split)) in self.memory.shopping:
            pass
        return item

    def take_off_list(self) -> Turn:
        item = self.rng.choice(self.memory.shopping)
        wording = self._worded(requests("forget_list_item", self.phrasing)).format(v=item)
        return Turn(self._requested(wording, item), self.memory.take_off_list([item]), "list")

    def clear_list(self) -> Turn:
        user = self._requested(self._worded(requests("clear_list", self.phrasing)))
        return Turn(user, self.memory.take_off_list(self.memory.shopping), "list")

    def ask_list(self) -> Turn:
        question = self._asked(self._worded(asks("shopping_list", self.phrasing)))
        return self._answered(question, self.memory.listed(), SHOPPING_LIST)

    def chat(self) -> Turn:
        said, topic = small_talk.draw(self.rng, self.split, self.phrasing)
        user = said
        if self.slips and self.rng.random() < 0.06:
            user = rough.typo(said, self.rng)
        elif self.slips and topic.name in ("statement", "question") and self.rng.random() < 0.06:
            user = rough.unknown_word(said, self.rng, first=2)
        reply = self._next_joke() if topic is small_talk.JOKE else small_talk.reply_to(said, topic)
        return Turn(self._spoken(user, self.rng.choice(topic.marks)), reply, "chat")

    def ask_for_joke(self) -> Turn:
        return self._amused(small_talk.about(small_talk.JOKE, self.rng, self.split, self.phrasing))

    def ask_for_more(self) -> Turn:
        """After a joke: `Another one!`"""
        return self._amused(self._worded(requests("more_jokes", self.phrasing)))

    def _amused(self, user: str) -> Turn:
        return Turn(self._spoken(user, self.rng.choice(small_talk.JOKE.marks)), self._next_joke(), "chat")

    def _next_joke(self) -> str:
        self.jokes += 1
        return small_talk.JOKES[(self.jokes - 1) % len(small_talk.JOKES)]

    def _statement(self, attribute: Attribute, value: str = "") -> tuple[str, str]:
        value = self._value(attribute, value)
        family = attribute.family
        wording = self._worded(tells(family, self.phrasing), unknown=family in NAMED_BY_KEY)
        return self._spelled(attribute.tell(wording, value), value), value

    def _value(self, attribute: Attribute, value: str) -> str:
        """Remembers it as the model will say it: what is `my car` for the user is `your car` for the model."""
        value = value or values.draw(attribute.value, self.rng, self.split)
        value = value.lower() if self.rng.random() < 0.15 else value
        self.memory.keep(attribute, re.sub(r"\bmy\b", "your", value))
        return value

    def _like_the_old(self, attribute: Attribute) -> str:
        """Sometimes, in training, a value that begins as the old one does: `Pim`, then `Pom`."""
        old = self.memory.values.get(attribute.phrase, "")
        if not self.slips or not old.isalpha() or len(old) < 3 or self.rng.random() > 0.3:
            return ""
        at = self.rng.randrange(1, len(old))
        value = old[:at] + self.rng.choice("aeioubdklmnrst") + old[at + self.rng.randrange(2) :]
        return "" if value == old or values.is_held_out(value) else value

    def _beginning_alike(self, attribute: Attribute) -> str:
        """Half of the time, where the old value has some words: `on the hook`, then `on the kitchen table`."""
        beginning = self.memory.values[attribute.phrase].split(" ")[:2]
        is_one = not isinstance(attribute.value, values.Several)
        if not is_one or "your" in beginning or len(beginning) < 2 or self.rng.random() < 0.5:
            return ""
        for _ in range(40):
            rest = values.draw(attribute.value, self.rng, self.split).split(" ")[2:]
            value = " ".join([*beginning, *rest])
            if rest and values.is_held_out(value) == (self.split == "held_out"):
                return value
        return ""

    def _worded(self, wordings: Sequence[str], unknown: bool = False) -> str:
        wording = self.rng.choice(wordings)
        if self.slips and self.rng.random() < 0.06:
            return rough.typo(wording, self.rng)
        if self.slips and unknown and self.rng.random() < 0.06:
            return rough.unknown_word(wording, self.rng, first=0)
        return wording

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

    def _requested(self, request: str, *keep: str) -> str:
        text = self._opener("ask_openers", 0.2) + request
        is_question = text.startswith(("can ", "could ", "will ", "would "))
        return self._spoken(text, "?" if is_question else self.rng.choice("...!"), keep)

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
