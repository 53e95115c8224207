"""Types of the fields that request bodies have. Everything a caller sends has a limit."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_MAX_TEXT_CHARS: Final = 2**20
_MAX_LIST: Final = 4096
_MAX_DEPTH: Final = 32


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode: it has half of a surrogate pair") from None
    return text


LongText = Annotated[str, Field(max_length=_MAX_TEXT_CHARS), AfterValidator(_encodable)]
ShortText = Annotated[str, Field(max_length=512), AfterValidator(_encodable)]
Name = Annotated[str, Field(max_length=64), AfterValidator(_encodable)]
Metadata = Annotated[dict[Name, ShortText], Field(max_length=16)]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]


def echoable(value: object, depth: int = 0) -> object:
    """What is sent back as it came must be JSON, and no deeper than everybody's parser goes."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"is nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError("has a number that is not finite")
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        echoable(inner, depth + 1)
    return value


Echoed = AfterValidator(echoable)
AnyObject = Annotated[dict[str, object], Field(max_length=_MAX_LIST), Echoed]
MAX_ITEMS = Field(max_length=_MAX_LIST)
Stop = ShortText | Annotated[list[ShortText], Field(max_length=16)]


TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]
TokenIdText = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
Bias = Annotated[float, Field(ge=-100, le=100)]
Word = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_encodable)]
