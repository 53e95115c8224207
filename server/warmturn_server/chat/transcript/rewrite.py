"""Where a template says something else than the ids of record do, shown from both sides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...engine_api import Reading, Rewrite
from .control_names import Written
from .records import Record
from .tokenizer import TextTokenizer
from .transcript import Transcript

EXCERPT_CHARS: Final = 40
_UNDECODABLE: Final = "\ufffd"


def find_rewrite(record: Record, written: Written, transcript: Transcript, tokenizer: TextTokenizer) -> Rewrite | None:
    """None where the whole record was kept, but for its last token."""
    if transcript.rewritten_at is None:
        return None
    at_token = _first_difference(record.token_ids, transcript.token_ids, transcript.kept_tokens)
    was, now = _parting(record, written, transcript, tokenizer)
    return Rewrite(
        at_token,
        max(len(record) - 1, 0),
        _reading(record.token_ids, at_token, record.text, was, tokenizer),
        _reading(transcript.token_ids, at_token, written.text, now, tokenizer),
    )


def parts_unseen(record: Record, written: Written, output_tokens: int, shown: str, tokenizer: TextTokenizer) -> bool:
    """Whether record and text part only where nobody saw more of the record's last reply than `shown`.

    It was cut off within a character, or has the stop string that it ended at: no template changed that. Of the
    record's ids the last `output_tokens` are the reply's.
    """
    agreed = tokenizer.control_names.agreement(record, written)
    start = record.text_length(len(record) - output_tokens)
    return agreed >= start and shown.lstrip() in record.text[max(start - len(shown), 0) : agreed]


def _first_difference(record: Sequence[int], prompt: Sequence[int], start: int) -> int:
    """Characters can part within a token's bytes, so that the first tokens behind the kept ones are still the same."""
    shorter = min(len(record), len(prompt))
    return next((index for index in range(start, shorter) if record[index] != prompt[index]), shorter)


def _parting(record: Record, written: Written, transcript: Transcript, tokenizer: TextTokenizer) -> tuple[int, int]:
    """The characters of both texts from which they differ; token ends where the record's text is only like the text."""
    if tokenizer.exact:
        agreed = tokenizer.control_names.agreement(record, written)
        return agreed, agreed
    return record.text_length(transcript.kept_tokens), len(written.text) - len(transcript.fresh_text)


def _reading(token_ids: Sequence[int], index: int, text: str, point: int, tokenizer: TextTokenizer) -> Reading:
    token_id = token_ids[index] if index < len(token_ids) else None
    token = None if token_id is None else tokenizer.token_text(token_id)
    return Reading(
        token_id,
        None if token is None or _UNDECODABLE in token else token,
        before=text[max(point - EXCERPT_CHARS, 0) : point],
        after=text[point : point + EXCERPT_CHARS],
    )
