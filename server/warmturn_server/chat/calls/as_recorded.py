"""Calls that were made here, as the model wrote them: a template writes the same JSON with other spaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..transcript.control_names import ControlNames, Written
from ..transcript.records import Record
from .formats import CallFormat
from .regions import Region, read_region


@dataclass(frozen=True, slots=True)
class AsRecorded:
    """`plain`: a prompt as the template writes it."""

    form: CallFormat
    names: ControlNames
    plain: Written

    def agrees_with(self, record: Record) -> bool:
        """As far as either goes."""
        return self.names.agreement(record, self.plain) >= min(len(record.text), len(self.plain.text))

    def by(self, record: Record, marked: str, mark: str) -> Written:
        """The prompt with its calls as `record` has them, as far as that says the same ones in the same places.

        `marked`: the prompt's text with `mark` before the name of each function that is called; nobody else writes it.
        """
        text, position, said = self.plain.text, 0, Written("")
        own = self.names.of_record(record)
        for region in self._regions(marked, mark) if marked.replace(mark, "") == text else ():
            start = _back_over_spaces(text, region.start, position)
            said = _joined(said, self.plain.since(position).until(start - position))
            position = start
            found = self._in_record(record, said)
            if found is None or not found.says_what(region):
                break
            end = _over_spaces(own.text, found.end)
            is_records_end = end == len(own.text)
            stop = found.end if is_records_end else end
            before = len(said.text)
            said = _joined(said, own.since(before).until(stop - before))
            position = region.end if is_records_end else _over_spaces(text, region.end)
        return _joined(said, self.plain.since(position))

    def _regions(self, marked: str, mark: str) -> Iterator[Region]:
        text, behind = self.plain.text, 0
        for name in _names(marked, mark):
            start = max((text.rfind(opening or "{", behind, name) for opening in self.form.openings), default=-1)
            region = read_region(self.form, text, start) if start >= 0 else None
            if region and region.end > name:
                yield region
                behind = region.end

    def _in_record(self, record: Record, before: Written) -> Region | None:
        if self.names.agreement(record, before) < len(before.text):
            return None
        return read_region(self.form, record.text, _over_spaces(record.text, len(before.text)))


def _joined(left: Written, right: Written) -> Written:
    return Written(left.text + right.text, left.spelled | {len(left.text) + at for at in right.spelled})


def _names(marked: str, mark: str) -> Iterator[int]:
    """Where in the text without marks the names are."""
    pieces = marked.split(mark)
    position = 0
    for piece in pieces[:-1]:
        position += len(piece)
        yield position


def _over_spaces(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _back_over_spaces(text: str, position: int, least: int) -> int:
    while position > least and text[position - 1].isspace():
        position -= 1
    return position
