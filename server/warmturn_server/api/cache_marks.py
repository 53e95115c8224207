"""What clients say about caching. State is saved of every token here: a marked place is one to go on from anyway."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import ConfigDict

from .fields import Decided
from .fields.bodies import CACHE_MARK, CACHE_OPTIONS


class CacheMark(Decided):
    """The end of a prefix that comes again: OpenAI's `prompt_cache_breakpoint`, Anthropic's `cache_control`."""

    model_config = ConfigDict(extra="forbid")
    fields_of: ClassVar = CACHE_MARK

    mode: Literal["explicit"] | None = None
    type: Literal["ephemeral"] | None = None


class CacheOptions(Decided):
    """With `mode` explicit only what is marked may be saved: that is not done here."""

    model_config = ConfigDict(extra="forbid")
    fields_of: ClassVar = CACHE_OPTIONS

    mode: Literal["implicit"] | None = None
