"""Parts a reply into thought and answer, piece by piece as it comes."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...engine_api import Thought
from ..marks import first_mark, overlap
from ..parts import PartDelta, Reasoning, Text
from ..reply_parser import InCall
from .formats import Format, Place


@dataclass(frozen=True, slots=True)
class Style:
    """A model's way of thinking aloud.

    `tokens`: the marks that are special tokens, and count only as such; the others are found in the text. `opening`,
    `closing`: what the model's template puts between the marks and a thought; None where it writes none.
    """

    format: Format
    tokens: frozenset[str] = field(default_factory=frozenset)
    opening: str | None = None
    closing: str | None = None

    def parser(self, prompt_end: str = "", *, tells_calls: bool = False) -> ThinkingParser:
        """For a reply to a prompt that ends with this, behind all that was said: it may open the thought already.

        `tells_calls`: what is written in a place for calls comes as such, with its label, and is not said.
        """
        parser = ThinkingParser(self, tells_calls=tells_calls)
        parser.begin(prompt_end)
        return parser

    def thought(self, prompt_end: str = "") -> Thought | None:
        """What may stand before an answer that has to have a form. None where the prompt has had it already, and where
        more than a mark parts the two."""
        parser = self.parser(prompt_end)
        openings, closings = (self.format.marks_of(place) for place in (Place.THOUGHT, Place.ANSWER))
        if not openings or not closings or (parser.has_thought and not parser.thinks):
            return None
        return Thought(openings[0], closings[0], parser.thinks, self.tokens.intersection((openings[0], closings[0])))


class ThinkingParser:
    """What ends a thought may end a line; the line's end is no part of either."""

    def __init__(self, style: Style, *, tells_calls: bool = False) -> None:
        self._style = style
        self._tells_calls = tells_calls
        self._format = style.format
        self._in_text = [mark for mark in style.format.all_marks if mark not in style.tokens]
        self._place = Place.ANSWER
        self._label = ""
        self._held = ""
        self._spaces = ""
        """Lines' ends that are written only if more of the same follows."""
        self._has_thought = self._has_said = False
        self._is_fresh = True

    @property
    def thinks(self) -> bool:
        return self._place is Place.THOUGHT

    @property
    def calls(self) -> bool:
        return self._tells_calls and self._place is Place.CALL

    @property
    def has_thought(self) -> bool:
        return self._has_thought

    def begin(self, prompt_end: str) -> None:
        """Take the prompt's end as read; nothing of it is part of the reply."""
        rest = prompt_end
        while found := first_mark(rest, self._format.all_marks):
            before, mark, rest = found
            self._label += before if self._place is Place.LABEL else ""
            self._pass(mark)
        self._label += rest if self._place is Place.LABEL else ""
        self._is_fresh = True
        self._spaces = ""

    def feed(self, text: str, mark: str = "") -> list[PartDelta]:
        self._held += text
        parts = self._certain()
        if mark and mark in self._style.tokens:
            parts += [*self._rest(), *self._ended(), *self._pass(mark)]
        return parts

    def finish(self) -> list[PartDelta]:
        parts = self._rest()
        spaces, self._spaces = self._spaces, ""
        if spaces and self._place is Place.THOUGHT:
            return [*parts, Reasoning(spaces)]
        return [*parts, Text(spaces)] if spaces and not self._has_thought else parts

    def flush(self) -> list[PartDelta]:
        """What is held back for a mark that cannot come any more: another one came."""
        return self._rest()

    def end_thought(self) -> None:
        """As a mark would that is none of its own."""
        if self._place is Place.THOUGHT:
            self._place, self._is_fresh, self._spaces = Place.ANSWER, True, ""

    def _certain(self) -> list[PartDelta]:
        """Of what is held, all but what may be the beginning of a mark."""
        parts = list[PartDelta]()
        while found := first_mark(self._held, self._awaited):
            before, mark, self._held = found
            parts += self._part(before)
            if mark in self._awaited:  # what stood before it may have been said, and then it is said itself
                parts += [*self._ended(), *self._pass(mark)]
            else:
                parts += self._part(mark)
        begun = max((overlap(self._held, mark) for mark in self._awaited), default=0)
        certain = len(self._held) - begun
        text, self._held = self._held[:certain], self._held[certain:]
        return parts + self._part(text)

    def _rest(self) -> list[PartDelta]:
        held, self._held = self._held, ""
        return self._part(held)

    @property
    def _awaited(self) -> list[str]:
        """Marks that can come now. In the middle of an answer no tag begins a thought: there they are spoken of."""
        if self._place is Place.LABEL:
            return [mark for mark in self._in_text if mark == self._format.label_end]
        marks = [mark for mark in self._in_text if mark in self._format.marks]
        if self._place is Place.THOUGHT:
            return [mark for mark in marks if self._format.marks[mark] is not Place.THOUGHT]
        if self._has_said:
            return [mark for mark in marks if mark.startswith("<|") or self._format.marks[mark] is Place.ANSWERED]
        return [mark for mark in marks if mark in self._format.openings or self._has_thought]

    def _pass(self, mark: str) -> list[PartDelta]:
        was, goes_on, label = self._place, self._place is Place.LABEL, self._label
        if mark == self._format.label_end:
            self._place = self._format.behind_label(self._label) if goes_on else was
        else:
            self._place = self._format.marks[mark]
        self._label = (self._label if goes_on else "") + mark if self._place is Place.LABEL else ""
        self._has_thought |= self._place is Place.THOUGHT
        self._is_fresh = True
        begins_call = self._tells_calls and self._place is Place.CALL and goes_on
        return [InCall(label + mark)] if begins_call else []

    def _ended(self) -> list[PartDelta]:
        """Where a part ends: spaces that the template puts there itself are no part of it."""
        spaces, self._spaces = self._spaces, ""
        closing = self._style.closing
        if self._place is Place.THOUGHT and closing is not None and not self._is_fresh:
            kept = spaces.removesuffix(closing)
            return [Reasoning(kept)] if kept else []
        return []

    def _part(self, text: str) -> list[PartDelta]:
        if not text or self._place is Place.NOWHERE:
            return []
        if self._place is Place.LABEL:
            self._label += text
            return []
        if self._place is Place.CALL and self._tells_calls:
            return [InCall(text)]
        return self._thought(text) if self._place is Place.THOUGHT else self._answer(text)

    def _thought(self, text: str) -> list[PartDelta]:
        text = self._spaces + text
        if self._is_fresh:
            text = self._without_opening(text)
        kept = text.rstrip("\n")
        self._spaces = text[len(kept) :]
        self._is_fresh &= not kept
        return [Reasoning(kept)] if kept else []

    def _without_opening(self, text: str) -> str:
        opening = self._style.opening
        if opening is None or not text.strip("\n"):
            return text if opening is not None else text.lstrip("\n")
        return text.removeprefix(opening)

    def _answer(self, text: str) -> list[PartDelta]:
        text = self._spaces + text
        if not self._has_said and not text.strip():
            self._spaces = text
            return []
        if self._has_thought and not self._has_said:
            text = text.lstrip("\n")
        self._spaces, self._has_said = "", True
        return [Text(text)]
