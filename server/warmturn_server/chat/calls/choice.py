"""Which way of calling functions a model has: the one in which its template writes a call."""

from __future__ import annotations

from typing import Final

from ..transcript.template import ChatTemplate
from ..transcript.tokenizer import TextTokenizer
from ..transcript.tool_messages import SAMPLE_ARGUMENTS, SAMPLE_FUNCTION
from .calling import Calling
from .formats import FORMATS, CallFormat
from .regions import read_region

_QUESTION: Final = "Question0"
_ARGUMENTS: Final = (SAMPLE_ARGUMENTS, {name: str(value) for name, value in SAMPLE_ARGUMENTS.items()})


def calling_of(tokenizer: TextTokenizer) -> Calling | None:
    """None for a model that calls no functions, or whose way to do so cannot be told."""
    template = tokenizer.template
    form = form_of(template) if template.knows_tools else None
    if form is None:
        return None
    if not template.writes_calls:
        template.spell_calls(form.write)
    tokens = frozenset(mark for mark in tokenizer.special_texts if form.has_mark(mark))
    return Calling(form, tokens, _ends(tokenizer, form), several=not template.calls.one_at_a_time)


def _ends(tokenizer: TextTokenizer, form: CallFormat) -> tuple[int, ...]:
    """The special token that the template writes behind calls, when their results are there."""
    _, _, told = tokenizer.template.call_samples()
    starts = [told.rfind(opening, 0, told.rfind(SAMPLE_FUNCTION)) for opening in form.openings if opening]
    region = read_region(form, told, max(starts)) if starts and max(starts) >= 0 else None
    behind = told[region.end :].lstrip() if region else ""
    end = next((mark for mark in tokenizer.special_texts if behind.startswith(mark)), None)
    token_id = tokenizer.special_id(end) if end else None
    return () if token_id is None else (token_id,)


def form_of(template: ChatTemplate) -> CallFormat | None:
    """None where it cannot be told."""
    prompt, called, _ = template.call_samples()
    if not template.writes_calls:
        signed = (form for form in FORMATS.values() if form.signs)
        return next((form for form in signed if all(sign in prompt for sign in form.signs)), None)
    reply = called.removeprefix(prompt).lstrip()
    written = called[max(called.rfind(_QUESTION), 0) :]
    return next((form for form in FORMATS.values() if _reads(form, reply if "" in form.openings else written)), None)


def _reads(form: CallFormat, written: str) -> bool:
    """Whether the one call that is written there is found."""
    starts = [written.find(opening) for opening in form.openings]
    regions = [read_region(form, written, start) for start in starts if start >= 0]
    calls = [call for region in regions if region for call in region.calls]
    return [call.name for call in calls] == [SAMPLE_FUNCTION] and calls[0].given in _ARGUMENTS
