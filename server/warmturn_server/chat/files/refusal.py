"""Why a file is not taken."""

from __future__ import annotations

from typing import Literal

from ...errors import InvalidRequest

Reason = Literal[
    "not_a_conversation_file",
    "file_version_unknown",
    "file_damaged",
    "file_signature_wrong",
    "file_too_large",
    "part_damaged",
    "state_damaged",
    "import_incomplete",
]


class FileRefused(InvalidRequest):
    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message, code=reason)
