"""Fields that the request bodies share; null means not given."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from ..chat import PromptEnd, Tokens
from ..engine_api import ReuseMode, SamplingParams
from .field_types import AnyObject, Bias, Name, ShortText, Stop, TokenId, TokenIdText, Word
from .fields import Decided, FieldRefused
from .fields.bodies import INCLUDABLE, REASONING
from .structure import FormFields

TOKEN_IDS: Final = "warmturn.token_ids"
"""The `include` that adds prompt and output token ids to a reply."""
LOOKBACK: Final = "warmturn.lookback"
"""The `include` that adds what the reply looked at."""
LOGPROBS: Final = "message.output_text.logprobs"
"""OpenAI's `include` of log-probabilities."""

_MAX_NAME: Final = 64
_MAX_SKIPPED: Final = 16


def includable(name: str) -> str:
    """Nobody waits for something that will never come."""
    if name not in INCLUDABLE and name not in (TOKEN_IDS, LOOKBACK):
        raise ValueError(f"{name!r} cannot be included; there are {TOKEN_IDS!r}, {LOOKBACK!r} and OpenAI's own")
    return name


Includes = Annotated[list[Annotated[ShortText, AfterValidator(includable)]], Field(max_length=32)]


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Body(Decided):
    """Fields of which nobody has heard are accepted: clients send ever more of them."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    @property
    def skipped(self) -> list[str]:
        """The first of those, as a slip in a field's name is one too."""
        unknown = (self.model_extra or {}).keys() - self.fields_of.decided
        return [name[:_MAX_NAME] for name in sorted(unknown)[:_MAX_SKIPPED]]


class ThinkingFields(Body):
    """How much the model is to think."""

    reasoning: AnyObject | None = None
    reasoning_effort: Effort | None = None
    chat_template_kwargs: Annotated[dict[Name, object], Field(max_length=16)] | None = None

    @model_validator(mode="after")
    def _thinks_as_asked(self) -> Self:
        REASONING.check(self.reasoning or {}, within="reasoning.")
        asked = (self.reasoning or {}).get("effort")
        if asked is not None and asked not in get_args(Effort):
            raise FieldRefused("reasoning.effort", f"must be one of {', '.join(get_args(Effort))}", "invalid_value")
        if asked and self.reasoning_effort and asked != self.reasoning_effort:
            raise FieldRefused("reasoning_effort", "must be that of reasoning.effort, or left out", "invalid_value")
        return self

    @property
    def effort(self) -> str | None:
        return self.reasoning_effort or str((self.reasoning or {}).get("effort") or "") or None


class SamplingFields(ThinkingFields, FormFields):
    """How tokens are chosen. What is not given is as the model's generation config recommends, and every reply says
    what it was; with `--sampling-defaults openai` it is as OpenAI has it (temperature 1, top_p 1) on every model."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=2**31 - 1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: Stop | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    ignore_eos: bool | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=128)] | None = None
    min_tokens: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    bad_words: Annotated[list[Word], Field(max_length=32)] | None = None
    logit_bias: Annotated[dict[TokenIdText, Bias], Field(max_length=1024)] | None = None
    reuse: ReuseMode | None = None
    tokens: Tokens | None = None
    on_disconnect: Literal["discard", "keep"] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    include: Includes | None = None

    @property
    def keep_stopped(self) -> bool:
        return self.on_disconnect == "keep"

    @property
    def reuse_mode(self) -> ReuseMode:
        return self.reuse or ReuseMode.STATE

    @model_validator(mode="after")
    def _ends_in_one_way(self) -> Self:
        if self.continue_final_message and self.add_generation_prompt:
            raise FieldRefused(
                "add_generation_prompt", "must be false where continue_final_message is true", "invalid_value"
            )
        return self

    @model_validator(mode="after")
    def _ends_where_its_form_does(self) -> Self:
        against = {"ignore_eos": self.ignore_eos, "min_tokens": self.min_tokens}
        against["continue_final_message"] = self.continue_final_message
        if form := self.form:
            for name in (name for name, value in against.items() if value):
                raise FieldRefused(
                    name, f"cannot be asked for together with {form.given_as}, which says how a reply begins and ends"
                )
        return self

    @property
    def prompt_end(self) -> PromptEnd:
        if self.continue_final_message:
            return "last_message"
        return "bare" if self.add_generation_prompt is False else "new_reply"

    @property
    def wants_token_ids(self) -> bool:
        return TOKEN_IDS in (self.include or ())

    @property
    def wants_lookback(self) -> bool:
        return LOOKBACK in (self.include or ())

    def sampling(self, defaults: SamplingParams, max_tokens: int | None, logprobs: int | None) -> SamplingParams:
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        given = {
            "max_tokens": max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": 0 if self.top_k == -1 else self.top_k,
            "min_p": self.min_p,
            "seed": self.seed,
            "stop": tuple(text for text in stop if text),
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repetition_penalty": self.repetition_penalty,
            "logprobs": logprobs,
            "ignore_eos": self.ignore_eos,
            "stop_token_ids": tuple(self.stop_token_ids or ()),
            "min_tokens": self.min_tokens,
            "bad_words": tuple(self.bad_words or ()),
            "logit_bias": tuple((int(token), bias) for token, bias in (self.logit_bias or {}).items()),
            "grammar": self.form,
        }
        return replace(defaults, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
