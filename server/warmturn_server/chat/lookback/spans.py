"""Where each message stands in the text that the template made of them all; what cannot be told is left out.

The template is rendered a second time, with a mark in the place of each message's content. What then stands between
the marks is the template's own, and the real text must be just that with the contents put in; only digits may differ,
for some templates print the time.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...errors import InvalidRequest
from ..model import ChatMessage
from ..transcript.control_names import Written
from ..transcript.unused_character import unused_character

Render = Callable[[list[ChatMessage]], Written]


@dataclass(frozen=True, slots=True)
class Passage:
    """`text[start:stop]` is message number `message`, or what the template left of it."""

    message: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class _Text:
    text: str
    timeless: str

    def continues(self, literal: str, position: int) -> bool:
        return self.timeless.startswith(literal, position)

    def stops(self, content: str, position: int, literal: str, *, at_the_end: bool) -> list[int]:
        """Where the content that begins at `position` may end: it is whole, or else a part of it (trimmed, without its
        thinking), and behind it the template goes on with `literal`."""
        if at_the_end:
            stops = [len(self.text) - len(literal)]
        elif self.text.startswith(content, position) and self.continues(literal, position + len(content)):
            return [position + len(content)]
        else:
            stops = list(range(position, min(position + len(content), len(self.text)) + 1))
        return [stop for stop in stops if self.continues(literal, stop) and self.text[position:stop] in content]


def find_passages(text: str, messages: Sequence[ChatMessage], render: Render) -> list[Passage]:
    """The passages of `text`, which `render` made of `messages`, from left to right, as far as they are certain."""
    marked, mark = _marked(text, messages)
    try:
        first, *rest = re.split(f"{mark}([0-9]+){mark}", render(marked).text)
    except InvalidRequest:  # a template that looks into what is said
        return []
    numbers, literals = [int(number) for number in rest[::2]], [_timeless(literal) for literal in rest[1::2]]
    whole = _Text(text, _timeless(text))
    passages = list[Passage]()
    if not whole.continues(_timeless(first), 0):
        return passages
    position = len(first)
    for place, (message, literal) in enumerate(zip(numbers, literals, strict=True)):
        is_last = place == len(numbers) - 1
        stops = whole.stops(messages[message]["content"], position, literal, at_the_end=is_last)
        if len(stops) != 1:
            break
        passages.append(Passage(message, position, stops[0]))
        position = stops[0] + len(literal)
    return passages


def owners(text: str, ends: Sequence[int], passages: Sequence[Passage]) -> list[int | None]:
    """The message that each token belongs to: all of its characters do, spaces at its edges aside.

    Tokens that share a character end together, and each of them stands for all that they share.
    """
    starts = [passage.start for passage in passages]
    found: list[int | None] = []
    for start, stop in token_spans(ends):
        word = text[start:stop]
        inner = start + len(word) - len(word.lstrip()), start + len(word.rstrip())
        start, stop = (start, stop) if word.isspace() else inner
        number = bisect_right(starts, start) - 1
        inside = number >= 0 and start < stop <= passages[number].stop
        found.append(passages[number].message if inside else None)
    return found


def token_spans(ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """From where to where in the text each token goes."""
    start = previous = 0
    for end in ends:
        if end > previous:
            start = previous
        previous = end
        yield start, end


def _marked(text: str, messages: Sequence[ChatMessage]) -> tuple[list[ChatMessage], str]:
    """The messages with marks for contents, and the character, used nowhere else, that marks begin and end with."""
    mark = unused_character([text, *(message["content"] for message in messages)])
    marked = [message.copy() for message in messages]
    for number, message in enumerate(marked):
        if message["content"].strip():
            message["content"] = f"{mark}{number}{mark}"
    return marked, mark


def _timeless(text: str) -> str:
    return re.sub("[0-9]", "0", text)
