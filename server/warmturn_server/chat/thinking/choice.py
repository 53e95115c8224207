"""Which way of thinking aloud a model has: what its template writes, and which of its marks are tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...errors import StartRefused
from ..transcript.template import SAMPLE_THOUGHT
from ..transcript.tokenizer import TextTokenizer
from .formats import FORMATS, Format
from .parser import Style

AUTO: Final = "auto"
OFF: Final = "off"


def style_of(tokenizer: TextTokenizer, wanted: str = AUTO) -> Style | None:
    """None for a model that does not think, or is not to be told so. Raises `StartRefused` for an unknown name."""
    if wanted == OFF:
        return None
    samples = list(tokenizer.template.samples())
    if wanted == AUTO:
        written = "\n".join([tokenizer.template.source, *samples])
        form = next((form for form in FORMATS.values() if all(sign in written for sign in form.signs)), None)
        return _style(form, tokenizer, samples) if form else None
    if wanted not in FORMATS:
        raise StartRefused(f"--reasoning knows no {wanted!r}: there are auto, off, {', '.join(FORMATS)}")
    return _style(FORMATS[wanted], tokenizer, samples)


def _style(form: Format, tokenizer: TextTokenizer, samples: Sequence[str]) -> Style:
    tokens = frozenset(mark for mark in form.all_marks if tokenizer.special_id(mark) is not None)
    opening, closing = _edges(form, next((text for text in samples if SAMPLE_THOUGHT in text), None))
    return Style(form, tokens, opening, closing)


def _edges(form: Format, sample: str | None) -> tuple[str | None, str | None]:
    """The lines' ends between the marks and a thought, as the template writes them."""
    if sample is None:
        return None, None
    before, _, after = sample.partition(SAMPLE_THOUGHT)
    marks = [mark for mark in form.all_marks if mark.strip()]
    starts = max((before.rfind(mark) + len(mark) for mark in marks if mark in before), default=0)
    stops = min((after.find(mark) for mark in marks if mark in after), default=0)
    opening, closing = before[starts:], after[:stops]
    if form.label_end and opening.startswith(form.label_end):
        opening = opening.removeprefix(form.label_end)
    return _only_lines(opening), _only_lines(closing)


def _only_lines(text: str) -> str | None:
    return None if text.strip("\n") else text
