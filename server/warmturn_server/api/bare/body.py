"""The older Completions API's request body."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from ...chat import MOST_CHOICES
from ..completions.stream_options import StreamOptions
from ..field_types import LongText, ShortText, TokenId
from ..fields import FieldRefused
from ..fields.bodies import PROMPTS
from ..wire import SamplingFields

DEFAULT_MAX_TOKENS: Final = 16
"""OpenAI's, here as everywhere."""
_MAX_PROMPTS: Final = 128
"""Choices, too, of all prompts together."""

Ids = Annotated[list[TokenId], Field(min_length=1, max_length=2**18)]
Prompts = (
    LongText
    | Ids
    | Annotated[list[LongText], Field(min_length=1, max_length=_MAX_PROMPTS)]
    | Annotated[list[Ids], Field(min_length=1, max_length=_MAX_PROMPTS)]
)


class CreateBareCompletion(SamplingFields):
    """Body of `POST /v1/completions`. `max_tokens` of 0 goes with `echo`: then only the prompt is told."""

    fields_of: ClassVar = PROMPTS

    prompt: Prompts
    model: ShortText | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    best_of: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    prompt_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    add_special_tokens: bool | None = None
    user: ShortText | None = None

    @model_validator(mode="after")
    def _asks_for_what_there_is(self) -> Self:
        if self.wants_lookback:
            raise FieldRefused("include", "a look-back is at messages, and here are none")
        if self.max_tokens == 0 and not self.echo and self.prompt_logprobs is None:
            raise FieldRefused("max_tokens", "can be 0 only with echo or prompt_logprobs", "invalid_value")
        return self

    @model_validator(mode="after")
    def _has_so_many_choices(self) -> Self:
        if self.best_of not in (None, self.num_choices):
            raise FieldRefused("best_of", "must be n: no reply is left out; choose among them by their logprobs")
        if len(self.prompts) * self.num_choices > _MAX_PROMPTS:
            raise FieldRefused("n", f"times the prompts may be at most {_MAX_PROMPTS} choices", "invalid_value")
        return self

    @property
    def num_choices(self) -> int:
        """Of each prompt."""
        return self.n or 1

    @property
    def prompts(self) -> list[str | list[int]]:
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return list(self.prompt)

    @property
    def num_new_tokens(self) -> int:
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def of_prompt(self) -> int | None:
        """How many alternatives of each token of the prompt are told, by either of the ways to ask for them."""
        return self.prompt_logprobs if self.prompt_logprobs is not None else self.logprobs if self.echo else None
