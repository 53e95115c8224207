"""The model's tokenizer, seen from text: which characters each token stands for, and the chat template."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from ...engine_api import TokenStream
from ...engine_api.token_bytes import TokenBytes
from ...errors import ModelRefused
from ..model import ChatMessage, PromptEnd, TemplateOptions, Tool
from .control_names import ControlNames, Written
from .spelled_out import SpelledOut
from .template import ChatTemplate

_DECODE_CONTEXT: Final = 16
"""Ids before the output that the decoder is shown: some decoders treat the first token of a text differently."""

_TELLING_CHARS: Final = 8
"""For each token that there may be: twice as many as tokens of prose have."""
_LONG_CHARS: Final = 20_000

_SAMPLE: Final = "Well, the cats' catalogue:\n\n  1. naïve café,\t12345 (日本語)  \n😀 don't unbelievably end "


@dataclass(frozen=True, slots=True)
class Encoded:
    """Ids of a text, and behind how many of its characters each one ends."""

    token_ids: tuple[int, ...]
    ends: tuple[int, ...]


class TextTokenizer:
    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not isinstance(tokenizer, PreTrainedTokenizerFast):
            raise ModelRefused("The model has no fast tokenizer: put its tokenizer.json into the model's folder.")
        if not tokenizer.chat_template:
            raise ModelRefused(
                "The model's tokenizer has no chat template, so nobody knows how it expects a conversation. "
                "Serve its chat or instruct variant, or put a chat_template.jinja into the model's folder."
            )
        self._backend: Tokenizer = tokenizer.backend_tokenizer
        added = self._backend.get_added_tokens_decoder()
        self._special = {token_id: token.content for token_id, token in added.items() if token.special}
        self.control_names = ControlNames(self._special)
        self.template = ChatTemplate(tokenizer, self.control_names)
        self._edges = {token.content for token in added.values() if not token.lstrip}
        self._bytes = TokenBytes(self._backend, self._special)
        self.vocabulary = hashlib.sha256(self._backend.to_str().encode()).hexdigest()[:32]
        self.exact = self._decodes_what_it_encodes()
        """Whether the texts of ids can be trusted; if not, ids are compared and generated text is tokenised anew."""
        self._longest = self._longest_token()
        self.splits_freely = self.exact and self._encodes_pieces_alike()
        """Whether a text that starts in the middle of another is tokenised the same, as no space is put before it."""

    def render(
        self,
        messages: list[ChatMessage],
        tools: Sequence[Tool] = (),
        prompt_end: PromptEnd = "new_reply",
        options: TemplateOptions | None = None,
    ) -> Written:
        """The whole prompt, as the template writes it."""
        return self.template.render(messages, tools, prompt_end, options)

    def encode(self, text: str) -> Encoded:
        """The names of control tokens in it are these tokens."""
        return self.encode_written(Written(text))

    def encode_written(self, written: Written) -> Encoded:
        """Names that are only spelled out are tokenised as any other text."""
        token_ids, offsets = self._spelled_out.encode(written) if written.spelled else self._ids(written.text)
        if not written.text.isascii():
            decoded, ends = self.decode_onto((), token_ids)
            if decoded == written.text:
                return Encoded(tuple(token_ids), ends)
        return Encoded(tuple(token_ids), _ends_from_offsets(written.text, offsets))

    def exceeds(self, text: str, max_tokens: int) -> bool:
        """Whether `text` is certainly more than `max_tokens`: by its length, or by a beginning that is enough to tell.

        The beginning's last word may be cut into more tokens than it is made of, hence the margin.
        """
        if self._longest is not None and len(text) > max_tokens * self._longest:
            return True
        enough = max_tokens * _TELLING_CHARS
        return len(text) > enough and len(self._encoding(text[:enough])) > max_tokens + max_tokens // 8 + 16

    def decode_onto(self, before: Sequence[int], token_ids: Sequence[int]) -> tuple[str, tuple[int, ...]]:
        """The text that `token_ids` add behind `before`, and where in it each one ends.

        It is the visible text, decoded as the engine does it, with the special tokens put back where they stood: what
        a template will write. Half a character at the end stands for U+FFFD: nobody was shown it, so no template will
        ever write it.
        """
        stream = TokenStream(self._backend, before[-_DECODE_CONTEXT:])
        text, ends = "", array("q")
        for number, token_id in enumerate(token_ids):
            piece = stream.step(token_id)
            if token_id in self._special or number == len(token_ids) - 1:
                piece += stream.rest()
            piece += self._special.get(token_id, "")
            if piece:
                text += piece
                ends.extend([len(text)] * (number + 1 - len(ends)))
        ends.extend([len(text)] * (len(token_ids) - len(ends)))
        return text, tuple(ends)

    def prompt_ids(self, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
        """Of a text that no template has written: with what the tokenizer itself puts around one, if that is wanted."""
        return tuple(self._backend.encode_batch([text], add_special_tokens=add_special_tokens)[0].ids)

    def token_bytes(self, token_id: int) -> bytes:
        return self._bytes.of(token_id)

    def token_text(self, token_id: int) -> str:
        """Its bytes as far as they are whole characters."""
        return self.token_bytes(token_id).decode(errors="replace")

    def special_id(self, text: str) -> int | None:
        """Of the special token that is written so."""
        return next((token_id for token_id, content in self._special.items() if content == text), None)

    @property
    def special_texts(self) -> list[str]:
        """How special tokens are written, the longest first."""
        return sorted(self._special.values(), key=len, reverse=True)

    def is_special(self, token_id: int) -> bool:
        return token_id in self._special

    def last_edge(self, written: Written, end: int) -> int:
        """Where the last special token before `end` starts: no tokenizer merges anything across it. Else 0."""
        return max((_last(content, written, end) for content in self._edges), default=0) if end else 0

    def begins_with_special(self, written: Written, start: int) -> bool:
        """Whether a special token stands there: the text before it is tokenised by itself."""
        return start not in written.spelled and any(written.text.startswith(name, start) for name in self._edges)

    @cached_property
    def _spelled_out(self) -> SpelledOut:
        """Made when somebody needs it: of a large vocabulary it takes a second."""
        return SpelledOut(self._backend)

    def _ids(self, text: str) -> tuple[list[int], list[int]]:
        encoding = self._encoding(text)
        return encoding.ids, [end for _, end in encoding.offsets]

    def _encoding(self, text: str) -> Encoding:
        """A long text as a batch of one: while it makes batches the library lets other threads run."""
        if len(text) < _LONG_CHARS:
            return self._backend.encode(text, add_special_tokens=False)
        return self._backend.encode_batch([text], add_special_tokens=False)[0]

    def _longest_token(self) -> int | None:
        """In characters; None where a token may stand for any number of them, as one for the unknown does."""
        model = self._backend.model
        swallows = getattr(model, "unk_token", None) is not None and not getattr(model, "byte_fallback", False)
        return None if swallows or not self.exact else max(map(len, self._backend.get_vocab()))

    def _decodes_what_it_encodes(self) -> bool:
        """Tried on a sample: from every token's end on, decoding gives the rest of the text and the same ends."""
        encoded = self.encode(_SAMPLE)
        for cut in range(1, len(encoded.ends)):
            start = encoded.ends[cut - 1]
            text, ends = self.decode_onto(encoded.token_ids[:cut], encoded.token_ids[cut:])
            is_an_end = start < encoded.ends[cut]
            if is_an_end and (
                text != _SAMPLE[start:] or not {start + end for end in ends}.issuperset(encoded.ends[cut:])
            ):
                return False
        return len(encoded.ends) > 1

    def _encodes_pieces_alike(self) -> bool:
        encoded = self.encode(_SAMPLE)
        word_starts = (i for i in range(1, len(_SAMPLE)) if _SAMPLE[i].isspace() and not _SAMPLE[i - 1].isspace())
        return all(
            self.encode(_SAMPLE[start:]).token_ids == encoded.token_ids[bisect_right(encoded.ends, start) :]
            for start in word_starts
            if start in encoded.ends
        )


def _last(content: str, written: Written, end: int) -> int:
    start = written.text.rfind(content, 0, end)
    while start in written.spelled:
        start = written.text.rfind(content, 0, start + len(content) - 1)
    return start


def _ends_from_offsets(text: str, offsets: Sequence[int]) -> tuple[int, ...]:
    """Where the tokenizer says that tokens end, without the ends that may be wrong.

    A token of whole and half characters is said to end behind the whole ones. So an end counts only between characters
    of a single byte; tokens without an end of their own get the next one that counts.
    """
    ends, end = array("q", [len(text)]) * len(offsets), len(text)
    for number in range(len(offsets) - 2, -1, -1):
        offset = offsets[number]
        if offset < end and text[max(offset - 1, 0) : offset + 1].isascii():
            end = offset
        ends[number] = end
    return tuple(ends)
