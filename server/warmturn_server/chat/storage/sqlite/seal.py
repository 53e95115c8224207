"""The checksum of a row: by it damage is told from data, and with a secret a stranger's writing from ours."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Mapping
from typing import Final

from ..store import damaged

_APART: Final = frozenset({"seq", "mac"})
"""Columns that are not covered: the row's place, and the checksum itself."""


class RowSeal:
    """HMAC-SHA256 over a row's table and the name, type and content of each of its columns."""

    def __init__(self, secret: bytes = b"") -> None:
        self._key = hashlib.sha256(b"warmturn rows 1\0" + secret).digest()

    def sealed(self, table: str, row: Mapping[str, object]) -> dict[str, object]:
        """The row with its checksum."""
        return {**row, "mac": self._mac(table, row)}

    def fits(self, table: str, row: sqlite3.Row) -> bool:
        content = dict(row)
        mac = content.get("mac")
        return isinstance(mac, bytes) and hmac.compare_digest(mac, self._mac(table, content))

    def check(self, table: str, row: sqlite3.Row, tenant: str, name: str) -> None:
        """Raises StoreCorrupt unless it is the row of that tenant and name, as it was written."""
        if not self.fits(table, row) or (row["tenant"], row["id"]) != (tenant, name):
            raise damaged(table, name)

    def _mac(self, table: str, row: Mapping[str, object]) -> bytes:
        covered = sorted(name for name in row if name not in _APART)
        parts = [table.encode(), *(part for name in covered for part in (name.encode(), *_typed(row[name])))]
        content = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hmac.digest(self._key, content, "sha256")


def _typed(value: object) -> tuple[bytes, bytes]:
    if isinstance(value, str):
        return b"text", value.encode(errors="surrogateescape")
    if isinstance(value, bytes):
        return b"blob", value
    return (b"number", str(int(value)).encode()) if isinstance(value, int) else (b"other", repr(value).encode())


def text_as_it_is(content: bytes) -> str:
    """For `text_factory`: what is no UTF-8 any more is found by its row's checksum, not by an error that quotes it."""
    return content.decode(errors="surrogateescape")
