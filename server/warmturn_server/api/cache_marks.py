"""What clients say about caching: the ends of prefixes that come again, and for how long their state is to stay."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import ConfigDict

from ..chat import CacheWishes, Mark, TurnId
from .field_types import ShortText
from .fields import Decided
from .fields.bodies import CACHE_CONTROL, CACHE_MARK, CACHE_OPTIONS, COMPLETION_CACHE_OPTIONS
from .json import Json

TTL_SECONDS: Final = {"5m": 300, "30m": 1800, "1h": 3600, "12h": 43_200}


class CacheMark(Decided):
    """OpenAI's `prompt_cache_breakpoint`. Without a `ttl` it has that of the request."""

    model_config = ConfigDict(extra="forbid")
    fields_of: ClassVar = CACHE_MARK

    mode: Literal["explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None


class CacheControl(Decided):
    """Anthropic's `cache_control`. Without a `ttl` nothing is promised of it, unless the request has one."""

    model_config = ConfigDict(extra="forbid")
    fields_of: ClassVar = CACHE_CONTROL

    type: Literal["ephemeral"] | None = None
    ttl: Literal["5m", "1h"] | None = None


class CompletionCacheOptions(Decided):
    """Those that chat completions have."""

    model_config = ConfigDict(extra="forbid")
    fields_of: ClassVar = COMPLETION_CACHE_OPTIONS

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None

    @property
    def wishes(self) -> CacheWishes:
        return CacheWishes(TTL_SECONDS[self.ttl] if self.ttl else None, self.mode == "explicit")


class CacheOptions(Decided):
    """Those that responses have."""

    model_config = ConfigDict(extra="forbid")
    fields_of: ClassVar = CACHE_OPTIONS

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None
    prewarm: bool | None = None
    comparison_response_id: ShortText | None = None

    @property
    def wishes(self) -> CacheWishes:
        compared = TurnId(self.comparison_response_id) if self.comparison_response_id else None
        seconds = TTL_SECONDS[self.ttl] if self.ttl else None
        return CacheWishes(seconds, self.mode == "explicit", bool(self.prewarm), compared)

    def echo(self) -> Json | None:
        """OpenAI's type has a lifetime in any case: where none was asked for, none is promised, and nothing is said."""
        if self.ttl is None:
            return None
        told = {"mode": self.mode or "implicit", "ttl": self.ttl}
        return {**told, "comparison_response_id": self.comparison_response_id}


def mark_of(*given: CacheMark | CacheControl | None) -> Mark | None:
    """Of several on one part, the one for longest."""
    marks = [Mark(TTL_SECONDS[mark.ttl] if mark.ttl else None) for mark in given if mark is not None]
    return max(marks, key=lambda mark: mark.ttl_seconds or 0, default=None)
