"""What the model should know at any time of a dialogue, and the one form in which it says it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .attributes import Attribute

NOTHING = "You haven't told me anything yet."
ASK_ME = "Ask me about anything else."
SHOPPING_LIST = "shopping list"
MOST_NUMBERED = 12
"""Notes with a number; each of these numbers is one token."""


@dataclass
class Memory:
    values: dict[str, str] = field(default_factory=dict)
    """By phrase, as the model says them; what is forgotten is gone."""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    """By phrase, in the order in which they were first told, which numbers them; forgotten ones too."""
    openings: dict[str, str] = field(default_factory=dict)
    """By phrase, how what was told last is confirmed."""
    shopping: list[str] = field(default_factory=list)

    def keep(self, attribute: Attribute, value: str) -> None:
        self._open(attribute.phrase)
        self.values[attribute.phrase] = value
        self.attributes[attribute.phrase] = attribute
        self.answers[attribute.phrase] = attribute.answer(value)

    def noted(self, attribute: Attribute) -> str:
        """`Note 2: your cat is Mirelo.`"""
        return f"{self.openings[attribute.phrase]}: {attribute.fact(self.values[attribute.phrase])}"

    def _open(self, phrase: str) -> None:
        number = len(self.answers) + 1
        new = f"Note {number}" if number <= MOST_NUMBERED else "Noted"
        self.openings[phrase] = "Updated" if phrase in self.answers else new

    def forget(self, attribute: Attribute) -> str:
        del self.values[attribute.phrase]
        self.answers[attribute.phrase] = f"Your {attribute.phrase}? You asked me to forget it."
        return f"Forgotten: your {attribute.phrase}."

    def put_on_list(self, items: Sequence[str]) -> str:
        self.shopping += items
        return self._list()

    def take_off_list(self, items: Sequence[str]) -> str:
        self.shopping = [item for item in self.shopping if item not in items]
        return self._list()

    def _list(self) -> str:
        self._open(SHOPPING_LIST)
        sentence = f"our {SHOPPING_LIST} is {', '.join(self.shopping) or 'empty'}."
        self.answers[SHOPPING_LIST] = f"Y{sentence}"
        return f"{self.openings[SHOPPING_LIST]}: y{sentence}"

    def answer(self, attribute: Attribute) -> str:
        return self.answers.get(attribute.phrase, attribute.unknown())

    def listed(self) -> str:
        return self.answers.get(SHOPPING_LIST, f"Your {SHOPPING_LIST}? You haven't told me.")

    def summary(self) -> str:
        """The notes by their numbers, each as it stands now: `1. Your name is Anna. 2. Your cat is Mirelo.`"""
        notes = [f"{number}. {answer}" for number, answer in enumerate(self.answers.values(), start=1)]
        more = [ASK_ME] if len(notes) > MOST_NUMBERED else []
        return " ".join([*notes[:MOST_NUMBERED], *more]) or NOTHING

    def forgotten(self) -> Sequence[Attribute]:
        return [attribute for phrase, attribute in self.attributes.items() if phrase not in self.values]
