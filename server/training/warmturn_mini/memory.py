"""What the model should know at any time of a dialogue, and the one form in which it says it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .attributes import Attribute

NOTHING = "You haven't told me anything yet."
ASK_ME = "Ask me about anything else."
SHOPPING_LIST = "shopping list"
MOST_SUMMED_UP = 3


@dataclass
class Memory:
    values: dict[str, str] = field(default_factory=dict)
    """By phrase, as the model says them; what is forgotten is gone."""
    attributes: dict[str, Attribute] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    """By phrase, in the order in which they were first told; forgotten ones too."""
    shopping: list[str] = field(default_factory=list)

    def keep(self, attribute: Attribute, value: str) -> None:
        self.values[attribute.phrase] = value
        self.attributes[attribute.phrase] = attribute
        self.answers[attribute.phrase] = attribute.answer(value)

    def forget(self, attribute: Attribute) -> str:
        del self.values[attribute.phrase]
        self.answers[attribute.phrase] = f"Your {attribute.phrase}? You asked me to forget it."
        return f"Forgotten: your {attribute.phrase}."

    def put_on_list(self, items: Sequence[str]) -> str:
        self.shopping += items
        return f"Noted: {self._list()}"

    def take_off_list(self, items: Sequence[str]) -> str:
        self.shopping = [item for item in self.shopping if item not in items]
        return f"Updated: {self._list()}"

    def _list(self) -> str:
        sentence = f"our {SHOPPING_LIST} is {', '.join(self.shopping) or 'empty'}."
        self.answers[SHOPPING_LIST] = f"Y{sentence}"
        return f"y{sentence}"

    def answer(self, attribute: Attribute) -> str:
        return self.answers.get(attribute.phrase, attribute.unknown())

    def listed(self) -> str:
        return self.answers.get(SHOPPING_LIST, f"Your {SHOPPING_LIST}? You haven't told me.")

    def summary(self) -> str:
        """The list, then what was told last, each fact found from the one noted after it; a few, for it is small."""
        others = [answer for phrase, answer in self.answers.items() if phrase != SHOPPING_LIST]
        listed = [self.answers[SHOPPING_LIST]] if SHOPPING_LIST in self.answers else []
        more = [ASK_ME] if len(others) > MOST_SUMMED_UP else []
        return " ".join([*listed, *reversed(others[-MOST_SUMMED_UP:]), *more]) or NOTHING

    def forgotten(self) -> Sequence[Attribute]:
        return [attribute for phrase, attribute in self.attributes.items() if phrase not in self.values]
