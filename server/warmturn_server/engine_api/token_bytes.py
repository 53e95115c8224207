"""The bytes that one token stands for: decoding it alone would lose half characters and the space before a word."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from tokenizers import Tokenizer

_BYTE: Final = re.compile(r"<0x([0-9A-F]{2})>")
_VISIBLE: Final = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_OTHERS: Final = (byte for byte in range(256) if byte not in _VISIBLE)
_ALPHABET: Final = {chr(byte): byte for byte in _VISIBLE} | {chr(256 + n): byte for n, byte in enumerate(_OTHERS)}
"""How byte-level vocabularies, since GPT-2's, write a byte: a visible one as itself, the others from U+0100 on."""


class TokenBytes:
    """Does to a single vocabulary piece what the tokenizer's decoder does to it, but for what depends on its place."""

    def __init__(self, tokenizer: Tokenizer, special: Collection[int]) -> None:
        """`special`: ids whose pieces no decoder changes, as they are no part of the text."""
        self._tokenizer = tokenizer
        self._special = special
        steps = list(_steps(json.loads(tokenizer.decoder.__getstate__()))) if tokenizer.decoder else []
        kinds = {step["type"] for step in steps}
        self._is_byte_level = "ByteLevel" in kinds
        self._falls_back_to_bytes = "ByteFallback" in kinds
        self._replaced = dict(_replacements(steps))

    def of(self, token_id: int) -> bytes:
        """Empty for ids without a token: models have more rows than their tokenizer has tokens."""
        piece = self._tokenizer.id_to_token(token_id) or ""
        if token_id in self._special:
            return piece.encode()
        if self._is_byte_level:
            return _from_alphabet(piece)
        if self._falls_back_to_bytes and (byte := _BYTE.fullmatch(piece)):
            return bytes.fromhex(byte[1])
        for mark, meaning in self._replaced.items():
            piece = piece.replace(mark, meaning)
        return piece.encode()


def _from_alphabet(piece: str) -> bytes:
    """A token that was added is written as it is, unless it could be one of the alphabet: so the decoder reads it."""
    if all(character in _ALPHABET for character in piece):
        return bytes(_ALPHABET[character] for character in piece)
    return piece.encode()


def _steps(decoder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if decoder["type"] != "Sequence":
        yield decoder
    for inner in decoder.get("decoders", ()):
        yield from _steps(inner)


def _replacements(steps: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for step in steps:
        if step["type"] == "Metaspace":
            yield step["replacement"], " "
        if step["type"] == "Replace" and "String" in step["pattern"]:
            yield step["pattern"]["String"], step["content"]
