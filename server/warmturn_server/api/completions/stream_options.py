"""What a stream tells of what was used: with its last chunk, or with each."""

from __future__ import annotations

from typing import ClassVar

from ..fields import Decided
from ..fields.bodies import STREAM_OPTIONS
from ..json import Json


class StreamOptions(Decided):
    """`continuous_usage_stats`: as vLLM has it, but of all choices together, and without `include_usage` too."""

    fields_of: ClassVar = STREAM_OPTIONS

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None

    def usage_of_chunk(self, prompt_tokens: int, output_tokens: int) -> Json:
        """What goes into a chunk with a choice, which has so many tokens told by its end."""
        if self.continuous_usage_stats:
            return {"usage": used(prompt_tokens, output_tokens)}
        return {"usage": None} if self.include_usage else {}


def used(prompt_tokens: int, output_tokens: int) -> Json:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
    }
