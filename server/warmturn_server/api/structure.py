"""The form that a reply is to have, in each of the ways in which clients ask for one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ..engine_api import Grammar, GrammarKind
from .field_types import AnyObject, LongText, Name, ShortText, echoable
from .fields import Decided, FieldRefused
from .fields.bodies import STRUCTURED_OUTPUTS

ANY_OBJECT: Final = '{"type": "object"}'


def _is_a_schema(text: str) -> str:
    try:
        schema = echoable(json.loads(text))
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ValueError("must be the JSON of an object, which a schema is")
    return text


GrammarText = Annotated[LongText, StringConstraints(min_length=1)]
SchemaText = Annotated[LongText, AfterValidator(_is_a_schema)]
JsonSchema = AnyObject | SchemaText
Choices = Annotated[list[Annotated[ShortText, StringConstraints(min_length=1)]], Field(min_length=1, max_length=1024)]


Kind = Literal["text", "json_object", "json_schema"]


class _Closed(BaseModel):
    """Nothing within it is skipped."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class NamedSchema(_Closed):
    """With `strict` and without, replies keep to it."""

    name: Name
    description: LongText | None = None
    strict: bool | None = None
    of: AnyObject | None = Field(default=None, alias="schema")


class ResponseFormat(_Closed):
    """Chat completions'."""

    type: Kind
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise FieldRefused("json_schema", "goes with type 'json_schema', and with no other", "invalid_value")
        return self

    def forms(self, given_as: str) -> Iterator[Grammar]:
        schema = self.json_schema.of if self.json_schema else None
        yield from _of_kind(self.type, schema, given_as, f"{given_as}.json_schema.schema")


class TextFormat(_Closed):
    """Responses'."""

    type: Kind
    name: Name | None = None
    description: LongText | None = None
    strict: bool | None = None
    of: AnyObject | None = Field(default=None, alias="schema")

    @model_validator(mode="after")
    def _has_its_schema(self) -> Self:
        for field, value in (("name", self.name), ("schema", self.of)):
            if (self.type == "json_schema") != (value is not None):
                raise FieldRefused(field, "goes with type 'json_schema', and with no other", "invalid_value")
        return self

    def forms(self, given_as: str) -> Iterator[Grammar]:
        yield from _of_kind(self.type, self.of, given_as, f"{given_as}.schema")


class StructuredOutputs(Decided):
    """vLLM's."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    fields_of: ClassVar = STRUCTURED_OUTPUTS

    schema_given: JsonSchema | None = Field(default=None, alias="json")
    regex: GrammarText | None = None
    choice: Choices | None = None
    grammar: GrammarText | None = None
    json_object: bool | None = None
    whitespace_pattern: ShortText | None = None
    disable_any_whitespace: bool | None = None

    @property
    def whitespace(self) -> str | None:
        return "" if self.disable_any_whitespace else self.whitespace_pattern

    def grammars(self, within: str) -> Iterator[Grammar]:
        yield from of_schema(self.schema_given, f"{within}.json", self.whitespace)
        yield from of_schema(ANY_OBJECT if self.json_object else None, f"{within}.json_object", self.whitespace)
        yield from of_text("regex", self.regex, f"{within}.regex")
        yield from of_choices(self.choice, f"{within}.choice")
        yield from of_text("grammar", self.grammar, f"{within}.grammar")


def _of_kind(kind: Kind, schema: dict[str, object] | None, given_as: str, schema_as: str) -> Iterator[Grammar]:
    if kind == "json_object":
        yield from of_schema(ANY_OBJECT, given_as)
    elif kind == "json_schema":
        yield from of_schema(ANY_OBJECT if schema is None else schema, schema_as)


def of_schema(
    schema: dict[str, object] | str | None, given_as: str, whitespace: str | None = None
) -> Iterator[Grammar]:
    if schema is not None:
        text = schema if isinstance(schema, str) else json.dumps(schema)
        yield Grammar("json_schema", text, whitespace, given_as=given_as)


def of_choices(choices: list[str] | None, given_as: str) -> Iterator[Grammar]:
    yield from of_text("choice", None if choices is None else json.dumps(choices), given_as)


def of_text(kind: GrammarKind, text: str | None, given_as: str) -> Iterator[Grammar]:
    if text is not None:
        yield Grammar(kind, text, given_as=given_as)


class FormFields(Decided):
    """vLLM's and llama.cpp's fields for it, on both generating endpoints; each endpoint adds that of OpenAI's."""

    structured_outputs: StructuredOutputs | None = None
    guided_json: JsonSchema | None = None
    guided_regex: GrammarText | None = None
    guided_choice: Choices | None = None
    guided_grammar: GrammarText | None = None
    guided_whitespace_pattern: ShortText | None = None
    json_schema: AnyObject | None = None
    grammar: LongText | None = None

    def forms(self) -> Iterator[Grammar]:
        """All that are asked for."""
        if self.structured_outputs:
            yield from self.structured_outputs.grammars("structured_outputs")
        yield from of_schema(self.guided_json, "guided_json", self.guided_whitespace_pattern)
        yield from of_text("regex", self.guided_regex, "guided_regex")
        yield from of_choices(self.guided_choice, "guided_choice")
        yield from of_text("grammar", self.guided_grammar, "guided_grammar")
        yield from of_schema(self.json_schema, "json_schema")
        yield from of_text("grammar", self.grammar or None, "grammar")

    @property
    def form(self) -> Grammar | None:
        return next(self.forms(), None)

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        first, *more = [*(form.given_as for form in self.forms()), ""]
        if first and more[0]:
            raise FieldRefused(more[0], f"cannot be asked for together with {first}: a reply has one form")
        return self
