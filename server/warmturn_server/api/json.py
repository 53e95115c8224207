"""JSON as it goes out."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse

Json = dict[str, Any]


def encode(content: object) -> bytes:
    """UTF-8; half surrogates, which callers may have sent, stay escaped as they came."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


class JsonReply(JSONResponse):
    def render(self, content: object) -> bytes:
        return encode(content)
