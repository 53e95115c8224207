"""Who made a file: keys that follow from the secrets that a server has."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from .head import Head, Header, Part, to_be_signed
from .refusal import FileRefused

UNSIGNED: Final = "none"
_HMAC: Final = "hmac-sha256"
_HMAC_BYTES: Final = 32


class Trust(StrEnum):
    """What is believed of a file: all of it, or its words alone."""

    SIGNED = "signed"
    UNKNOWN_SIGNER = "unknown_signer"
    UNSIGNED = "unsigned"


class FileKeys:
    """The first secret signs; what any of them signed is believed. Without one nothing is signed, and nothing believed.

    A key is derived for this purpose alone, and named by a digest that tells nobody what it is.
    """

    def __init__(self, secrets: Sequence[bytes] = ()) -> None:
        keys = [hmac.digest(secret, b"warmturn conversation file 1", "sha256") for secret in secrets if secret]
        self._keys = {hmac.digest(key, b"name", "sha256").hex()[:32]: key for key in keys}

    def sign(self, conversation: str, model: str, fingerprint: str, parts: Sequence[Part]) -> Head:
        """The head of a file. The same conversation, signed again, has the same bytes."""
        scheme, name = (_HMAC, next(iter(self._keys))) if self._keys else (UNSIGNED, "")
        header = Header(conversation, model, fingerprint, scheme, name)
        signed = to_be_signed(header, parts, _HMAC_BYTES if name else 0)
        signature = hmac.digest(self._keys[name], signed, "sha256") if name else b""
        return Head(header, parts, signed, signature)

    def trust(self, head: Head) -> Trust:
        """Raises `FileRefused` where it says that somebody signed it who did not."""
        if head.header.scheme == UNSIGNED:
            return Trust.UNSIGNED
        key = self._keys.get(head.header.signer) if head.header.scheme == _HMAC else None
        if key is None:
            return Trust.UNKNOWN_SIGNER
        if not hmac.compare_digest(hmac.digest(key, head.signed, "sha256"), head.signature):
            raise FileRefused(
                "file_signature_wrong",
                "The file says that it was signed with a secret of this server, and was not: it was changed since.",
            )
        return Trust.SIGNED
