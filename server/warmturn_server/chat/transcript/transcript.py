"""From messages to token ids, without ever tokenising again what the model has already seen or said."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from ..model import TurnId
from .control_names import Written
from .records import Record, RecordPart
from .tokenizer import Encoded, TextTokenizer


@dataclass(frozen=True, slots=True)
class Transcript:
    """A prompt: the first `kept_tokens` ids of the record it continues, then `fresh` ones.

    `ends`: behind how many characters of the whole text each token ends.
    """

    token_ids: tuple[int, ...]
    ends: tuple[int, ...]
    kept_tokens: int
    kept_text: str
    fresh: Encoded
    fresh_text: str
    record_tokens: int
    is_canonical: bool = False

    @property
    def record_ids(self) -> int:
        """How many of its ids are there because they are on record."""
        return 0 if self.is_canonical else self.kept_tokens

    @property
    def rewritten_at(self) -> int | None:
        """Where the template said something else than the record does, None if it did not.

        The record's last token may go: it was chosen but never computed, so nothing that was computed is lost.
        """
        return self.kept_tokens if self.kept_tokens < self.record_tokens - 1 else None


class Transcriber:
    """Keeps the ids of record as far as the rendered text of a whole conversation is that of the record.

    Any template will do: one that rewrites history (drops thinking, prints the date) only shortens what is kept.
    """

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self.tokenizer = tokenizer

    def transcribe(self, written: Written, record: Record) -> Transcript:
        """Ids for the rendered text, as many of them as possible from `record`."""
        if not self.tokenizer.exact:
            return self._compare_ids(written, record)
        agreed = self.tokenizer.control_names.agreement(record, written)
        kept = bisect_right(record.ends, agreed)
        if record.text_length(kept) == agreed and self._may_part(written, record, agreed):
            fresh = written.since(agreed)
            return self._join(record, kept, fresh.text, self.tokenizer.encode_written(fresh))
        return self._rejoin(written, record, agreed)

    def canonical(self, written: Written, record: Record) -> Transcript:
        """The ids that a tokenizer without any history gives it; those that `record` begins with are its own."""
        return dataclasses.replace(self._compare_ids(written, record), is_canonical=True)

    def part(
        self, turn_id: TurnId, base_id: TurnId | None, transcript: Transcript, output_ids: Sequence[int], tenant: str
    ) -> RecordPart:
        """What a finished turn adds to the record of `base_id`: the fresh end of its prompt and what the model chose.

        All of the prompt where it has no base: no record needs another conversation's, which may be deleted.
        """
        output_text, output_ends = self.tokenizer.decode_onto(transcript.token_ids, output_ids)
        is_based = base_id is not None and transcript.kept_tokens > 0
        prompt = transcript.fresh if is_based else Encoded(transcript.token_ids, transcript.ends)
        text = transcript.fresh_text if is_based else transcript.kept_text + transcript.fresh_text
        return RecordPart(
            turn_id=turn_id,
            base_id=base_id if is_based else None,
            kept_tokens=transcript.kept_tokens if is_based else 0,
            token_ids=prompt.token_ids + tuple(output_ids),
            ends=prompt.ends + tuple(len(text) + end for end in output_ends),
            text=text + output_text,
            vocabulary=self.tokenizer.vocabulary,
            tenant=tenant,
        )

    def _may_part(self, written: Written, record: Record, agreed: int) -> bool:
        """Whether ids may be kept up to there: the record's end, or where the template ends what was seen of it."""
        if agreed < len(record.text):
            return agreed > 0 and self.tokenizer.begins_with_special(written, agreed)
        return self._may_split(written.text, agreed)

    def _may_split(self, text: str, position: int) -> bool:
        inside_word = 0 < position < len(text) and text[position - 1].isalnum() and text[position].isalnum()
        return self.tokenizer.splits_freely and not inside_word

    def _rejoin(self, written: Written, record: Record, agreed: int) -> Transcript:
        """Change over where the record and a fresh tokenisation of the text both have a token's end.

        Text and record part at `agreed`; the last such place before it keeps the most without a token cut in two.
        """
        edge = self.tokenizer.last_edge(written, agreed)
        start = edge if edge in record.ends else 0
        encoded = self.tokenizer.encode_written(written.since(start))
        ends_of_record = set(record.ends)
        common = (start + end for end in encoded.ends if start + end <= agreed and start + end in ends_of_record)
        cut = max(common, default=start)
        fresh = bisect_right(encoded.ends, cut - start)
        rest = Encoded(encoded.token_ids[fresh:], tuple(start + end - cut for end in encoded.ends[fresh:]))
        return self._join(record, bisect_right(record.ends, cut) if cut else 0, written.text[cut:], rest)

    def _compare_ids(self, written: Written, record: Record) -> Transcript:
        text, encoded = written.text, self.tokenizer.encode_written(written)
        pairs = enumerate(zip(encoded.token_ids, record.token_ids, strict=False))
        shared = min(len(encoded.token_ids), len(record))
        kept = next((number for number, (new, old) in pairs if new != old), shared)
        while self.tokenizer.exact and kept and encoded.ends[kept - 1] != record.ends[kept - 1]:
            kept -= 1  # within a character, of which each of the texts may have another
        cut = encoded.ends[kept - 1] if kept else 0
        rest = Encoded(encoded.token_ids[kept:], tuple(end - cut for end in encoded.ends[kept:]))
        return Transcript(encoded.token_ids, encoded.ends, kept, text[:cut], rest, text[cut:], len(record))

    @staticmethod
    def _join(record: Record, kept: int, text: str, fresh: Encoded) -> Transcript:
        cut = record.text_length(kept)
        ends = record.ends[:kept] + tuple(cut + end for end in fresh.ends)
        token_ids = record.token_ids[:kept] + fresh.token_ids
        return Transcript(token_ids, ends, kept, record.text[:cut], fresh, text, len(record))
