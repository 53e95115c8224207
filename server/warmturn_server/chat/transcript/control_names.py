"""Names of control tokens in texts: where one stands for its token, and where somebody only spelled it out.

A person may write `<|im_end|>` without ending a turn. So before a template writes what people said, a character that
is used nowhere else is put into each such name, and taken out of what the template wrote. The text of a prompt is then
what it always was, and says besides which of the names in it are only text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from .records import Record, agreement
from .unused_character import unused_character


@dataclass(frozen=True, slots=True)
class Written:
    """The text of a prompt. `spelled`: where names of control tokens start in it that are not these tokens."""

    text: str
    spelled: frozenset[int] = frozenset()

    def __add__(self, more: str) -> Written:
        return Written(self.text + more, self.spelled)

    def until(self, stop: int) -> Written:
        return Written(self.text[:stop], frozenset(start for start in self.spelled if start < stop))

    def since(self, start: int) -> Written:
        return Written(self.text[start:], frozenset(at - start for at in self.spelled if at >= start))


class ControlNames:
    def __init__(self, names: Mapping[int, str] | None = None) -> None:
        """`names`: how each control token is written."""
        self._ids = {name: token_id for token_id, name in (names or {}).items() if len(name) > 1}
        self._name = re.compile(_any_of(self._ids) if self._ids else r"(?!)")
        self._start = re.compile(f"(?={self._name.pattern}).", re.DOTALL)

    def guarded(self, *said: Any) -> tuple[Any, str]:
        """What people said, as plain data, with a mark in every such name in it; and the mark, empty where it has none.

        No name stands in it any more, however names overlap.
        """
        if not any(map(self._name.search, _texts(said))):
            return said, ""
        mark = unused_character(_texts(said))
        return self._marked(said, mark), mark

    def unguarded(self, text: str, mark: str) -> Written:
        """The text without the marks. A template may have changed a name that it was given: that is none any more."""
        pieces = text.split(mark) if mark else [text]
        whole = "".join(pieces)
        behind_first = accumulate(map(len, pieces[:-1]))
        return Written(whole, frozenset(at - 1 for at in behind_first if at and self._name.match(whole, at - 1)))

    def agreement(self, record: Record, written: Written) -> int:
        """How many characters of both are the same and mean the same: a name that is a token in one of them only ends
        it."""
        agreed = agreement(record.text, written.text)
        for found in self._found(written, agreed):
            is_token = found.start() not in written.spelled
            if is_token != self._ends_as(self._ids[found[0]], record, found.end()):
                return found.start()
        return agreed

    def of_record(self, record: Record) -> Written:
        """Its text, with what was only spelled out in it."""
        spelled, position = set[int](), 0
        while found := self._name.search(record.text, position):
            is_token = self._ends_as(self._ids[found[0]], record, found.end())
            position = found.end() if is_token else found.start() + 1
            if not is_token:
                spelled.add(found.start())
        return Written(record.text, frozenset(spelled))

    def _found(self, written: Written, stop: int | None = None) -> Iterator[re.Match[str]]:
        """All names in it. Within one that is a token there is no other; in one that is not there may be."""
        position, stop = 0, len(written.text) if stop is None else stop
        while found := self._name.search(written.text, position, stop):
            yield found
            position = found.start() + 1 if found.start() in written.spelled else found.end()

    @staticmethod
    def _ends_as(token_id: int, record: Record, stop: int) -> bool:
        """Whether the token of the character before `stop` is this one; some take the spaces behind them along."""
        first = bisect_left(record.ends, stop)
        return (
            first < len(record) and token_id in record.token_ids[first : bisect_right(record.ends, record.ends[first])]
        )

    def _marked(self, said: Any, mark: str) -> Any:
        if isinstance(said, str):
            return self._start.sub(rf"\g<0>{mark}", said)
        if isinstance(said, Mapping):
            return {self._marked(name, mark): self._marked(value, mark) for name, value in said.items()}
        if isinstance(said, list | tuple):
            return type(said)(self._marked(value, mark) for value in said)
        return said


def _texts(said: Any) -> Iterator[str]:
    if isinstance(said, str):
        yield said
    elif isinstance(said, Mapping):
        for entry in said.items():
            yield from _texts(entry)
    elif isinstance(said, list | tuple):
        for value in said:
            yield from _texts(value)


def _any_of(names: Mapping[str, int]) -> str:
    """A pattern for the longest of these that stands at a place. There may be a thousand, alike at the beginning: what
    some begin with is looked at once."""
    following: dict[str, dict[str, int]] = {}
    for name in names:
        if name:
            following.setdefault(name[0], {})[name[1:]] = 0
    ways = "|".join(re.escape(first) + _any_of(rest) for first, rest in following.items())
    return f"(?:{ways})" + ("?" if "" in names else "") if ways else ""
