"""Digests of the beginnings of texts, by which a conversation is found again when a client resends all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NewType

TextDigest = NewType("TextDigest", bytes)

CHUNK_CHARS: Final = 64
DIGEST_BYTES: Final = 16


def prefix_digests(text: str, tenant: str, vocabulary: str, beginning: Sequence[TextDigest] = ()) -> list[TextDigest]:
    """Chained digests: number i stands for the first i * CHUNK_CHARS characters; number 0 for the empty text.

    Tenant and vocabulary start the chain, so nobody finds a text of another tenant or ids of another tokenizer.
    `beginning`: of this chain, where it is known.
    """
    chain = list(beginning) or [_digest(repr((tenant, vocabulary)).encode())]
    for start in range((len(chain) - 1) * CHUNK_CHARS, len(text) - CHUNK_CHARS + 1, CHUNK_CHARS):
        chain.append(_digest(chain[-1] + text[start : start + CHUNK_CHARS].encode()))
    return chain


def _digest(content: bytes) -> TextDigest:
    return TextDigest(hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest())


def own_prefix_digests(chain: list[TextDigest], inherited_chars: int) -> list[TextDigest]:
    """Those of `chain` that end in a record's own text: the others are found at its base."""
    return chain[inherited_chars // CHUNK_CHARS + 1 :] if inherited_chars else chain
