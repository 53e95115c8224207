"""Tells a reply's calls from what it says, piece by piece as it comes."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ..marks import first_mark, overlap
from ..parts import PartDelta, Text
from ..reply_parser import InCall, ReplyParser
from .formats import CallFormat
from .reading import CallReader, NewCallId, Schemas


class CallParser:
    """What turns out to be no call is said as it was written. Spaces around calls are no part of what is said."""

    def __init__(
        self,
        form: CallFormat,
        tokens: Collection[str],
        schemas: Schemas,
        inner: ReplyParser,
        new_id: NewCallId,
    ) -> None:
        self._form = form
        self._tokens = () if form.in_channel else tokens
        self._in_text = [mark for mark in form.openings if mark and mark not in tokens]
        self._schemas = schemas
        self._inner = inner
        self._new_id = new_id
        self._taken_ids = set[str]()
        self._reader: CallReader | None = None
        self._opening = self._behind = ""
        """What was written, for when it turns out to be no call."""
        self._held = ""
        self._has_said = self._has_called = False

    @property
    def thinks(self) -> bool:
        return self._reader is None and self._inner.thinks

    @property
    def calls(self) -> bool:
        return self._reader is not None

    def feed(self, text: str, mark: str = "") -> list[PartDelta]:
        parts = self._told_apart(self._inner.feed(text, mark))
        if mark in self._tokens:
            parts += self._told_apart(self._inner.flush())
            parts += self._of_mark(mark)
        return parts

    def finish(self) -> list[PartDelta]:
        parts = self._told_apart(self._inner.finish())
        if self._reader:
            parts += [*self._reader.finish(), *self._given_up()]
            parts += [] if self._reader is None else self.finish()
        held, self._held = self._held, ""
        return [*parts, Text(held)] if held.strip() or (held and not self._has_called) else parts

    def flush(self) -> list[PartDelta]:
        return self._told_apart(self._inner.flush())

    def end_thought(self) -> None:
        self._inner.end_thought()

    def _told_apart(self, deltas: Iterable[PartDelta]) -> list[PartDelta]:
        parts = list[PartDelta]()
        for delta in deltas:
            if isinstance(delta, InCall):
                parts += self._of_call(delta)
            elif isinstance(delta, Text):
                parts += self._read(delta.text) if self._reader else self._said(delta.text)
            else:
                parts.append(delta)
        return parts

    def _of_mark(self, mark: str) -> list[PartDelta]:
        if self._reader:
            return self._read(mark)
        if mark in self._form.openings:
            self._inner.end_thought()
            return self._opens("", "")
        return []

    def _of_call(self, written: InCall) -> list[PartDelta]:
        """Where what is told apart tells calls already."""
        return self._read(written.text) if self._reader else self._opens("", written.text)

    def _opens(self, opening: str, text: str) -> list[PartDelta]:
        self._reader, self._opening, self._behind = (
            CallReader(self._form, self._schemas, self._new_id, self._taken_ids),
            opening,
            "",
        )
        return self._read(text)

    def _read(self, text: str) -> list[PartDelta]:
        assert self._reader is not None, "only a reader reads"
        self._behind += "" if self._reader.written_ids else text
        pieces: list[PartDelta] = [*self._reader.feed(text)]
        self._has_called |= bool(pieces)
        return [*pieces, *self._given_up()] if self._reader.is_over else pieces

    def _given_up(self) -> list[PartDelta]:
        """What was read is no call, or what stands behind calls is none."""
        reader, self._reader = self._reader, None
        assert reader is not None, "only what was read is given up"
        if reader.written_ids:
            return self._said(reader.rest)
        self._has_said = True  # or the same would be tried again
        return [*self._tell(self._opening), *self._said(self._behind)]

    def _said(self, text: str) -> list[PartDelta]:
        text, self._held = self._held + text, ""
        if self._begins_with_one(text):
            return self._opens("", text)
        if found := first_mark(text, self._in_text):
            before, opening, rest = found
            parts = self._tell(before)
            spaces, self._held = self._held, ""
            return [*parts, *self._opens(spaces + opening, rest)]
        certain = len(text) - max((overlap(text, mark) for mark in self._in_text), default=0)
        parts = self._tell(text[:certain])
        self._held += text[certain:]
        return parts

    def _begins_with_one(self, text: str) -> bool:
        """In a format without marks the first character tells."""
        return "" in self._form.openings and not self._has_said and text.lstrip().startswith("{")

    def _tell(self, text: str) -> list[PartDelta]:
        """All but the spaces at its end, which are held until more is said."""
        kept = text.rstrip()
        self._held = text[len(kept) :]
        if self._has_called and not self._has_said:
            kept = kept.lstrip()
        self._has_said |= bool(kept)
        return [Text(kept)] if kept else []
