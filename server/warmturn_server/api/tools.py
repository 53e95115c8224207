"""Functions that a request offers, and which of them are to be called, as both APIs say it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator

from ..chat import Tool, ToolRules
from .field_types import AnyObject, LongText, ShortText
from .fields import Decided, FieldRefused
from .fields.bodies import FUNCTION, FUNCTION_TOOL, TOOL
from .json import Json

_MOST: Final = 128
_TYPES: Final = {"object", "array", "string", "number", "integer", "boolean", "null"}
_OBJECT: Final[Mapping[str, object]] = {"type": "object", "properties": {}}


def _of_arguments(schema: dict[str, object]) -> dict[str, object]:
    if schema.get("type", "object") != "object":
        raise ValueError("must be the schema of an object: arguments have names")
    _check_schema(schema, "")
    return schema


def _check_schema(schema: object, place: str) -> None:
    if not isinstance(schema, Mapping):
        if isinstance(schema, bool):
            return
        raise ValueError(f"{place or 'it'} must be a JSON schema, which is an object")
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [] if kinds is None else [kinds]:
        if kind not in _TYPES:
            raise ValueError(f"{place}{'.' if place else ''}type must be one of {', '.join(sorted(_TYPES))}")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        raise ValueError(f"{place}{'.' if place else ''}required must be a list of names")
    if not isinstance(schema.get("enum"), list | None):
        raise ValueError(f"{place}{'.' if place else ''}enum must be a list of values")
    for inner_place, inner in _inner_schemas(schema, f"{place}." if place else ""):
        _check_schema(inner, inner_place)


def _inner_schemas(schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, object]]:
    for name in ("properties", "$defs", "definitions"):
        inner = schema.get(name, {})
        if not isinstance(inner, Mapping):
            raise ValueError(f"{place}{name} must be an object of schemas")
        yield from ((f"{place}{name}.{key[:64]}", value) for key, value in inner.items())
    for name in ("anyOf", "allOf", "oneOf"):
        several = schema.get(name, [])
        if not isinstance(several, list):
            raise ValueError(f"{place}{name} must be a list of schemas")
        yield from ((f"{place}{name}[{number}]", value) for number, value in enumerate(several))
    if isinstance(schema.get("items"), Mapping):
        yield f"{place}items", schema["items"]


FunctionName = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]{1,64}$")]
Parameters = Annotated[AnyObject, AfterValidator(_of_arguments)]
_Kind = Annotated[ShortText, WithJsonSchema({"enum": ["function"]})]


class Function(Decided):
    """`strict`: calls have arguments that the schema allows, and no others."""

    model_config = ConfigDict(extra="allow")
    fields_of: ClassVar = FUNCTION

    name: FunctionName
    description: LongText | None = None
    parameters: Parameters | None = None
    strict: bool | None = None

    @property
    def definition(self) -> Tool:
        """As templates take it. Some ask for all of it, so nothing is left out."""
        function = {
            "name": self.name,
            "description": self.description or "",
            "parameters": self.parameters if self.parameters is not None else dict(_OBJECT),
        }
        return {"type": "function", "function": function}


class _OfOneKind(Decided):
    model_config = ConfigDict(extra="allow")
    fields_of: ClassVar = TOOL

    type: _Kind

    @model_validator(mode="before")
    @classmethod
    def _is_a_function(cls, tool: Any) -> Any:
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if isinstance(kind, str) and kind != "function":
            raise FieldRefused("type", f"tools of type '{kind[:64]}' are not here: this server calls functions only")
        return tool


class FunctionTool(_OfOneKind, Function):
    """Responses'."""

    fields_of: ClassVar = FUNCTION_TOOL

    @property
    def echo(self) -> Json:
        shown = {"type": "function", "name": self.name, "description": self.description}
        return {**shown, "parameters": self.parameters, "strict": bool(self.strict)}

    @property
    def offered(self) -> Function:
        return self


class CompletionTool(_OfOneKind):
    """Chat completions'."""

    function: Function

    @property
    def offered(self) -> Function:
        return self.function


Tools = Annotated[list[FunctionTool], Field(max_length=_MOST)]
CompletionTools = Annotated[list[CompletionTool], Field(max_length=_MOST)]
ToolChoice = Literal["none", "auto", "required"] | AnyObject


def definitions(offered: Iterable[Function]) -> tuple[Tool, ...]:
    """In the order of their names, so that the same ones make the same prompt in whichever order they come."""
    return tuple(function.definition for function in sorted(offered, key=lambda function: function.name))


def rules_of(offered: Sequence[Function], choice: ToolChoice | None, several: bool | None, place: str) -> ToolRules:
    """`place`: of the schema of function number `{}`. Raises `FieldRefused`."""
    names = [function.name for function in offered]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise FieldRefused("tools", f"two functions are called {twice!r}", "invalid_value")
    strict = frozenset(function.name for function in offered if function.strict)
    mode, only = _chosen(choice)
    if unknown := sorted((only or frozenset()) - {*names}):
        raise FieldRefused("tool_choice", f"{unknown[0]!r} is none of the tools that are offered", "invalid_value")
    if mode == "required" and not names:
        raise FieldRefused("tool_choice", "asks for a call, and there are no tools", "invalid_value")
    places = {function.name: place.format(number) for number, function in enumerate(offered)}
    return ToolRules(mode != "none", mode == "required", only, several is not False, strict, places)


class HasTools(Decided):
    """What both bodies do with their tools."""

    place_of_schemas: ClassVar = "tools[{}].parameters"

    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None

    @property
    def offered(self) -> list[Function]:
        return [tool.offered for tool in getattr(self, "tools", None) or ()]

    @property
    def tool_rules(self) -> ToolRules:
        return rules_of(self.offered, self.tool_choice, self.parallel_tool_calls, self.place_of_schemas)

    @model_validator(mode="after")
    def _calls_what_there_is(self) -> Self:
        _ = self.tool_rules
        return self


def _chosen(choice: ToolChoice | None) -> tuple[str, frozenset[str] | None]:
    """`none`, `auto` or `required`, and of which functions alone."""
    if choice is None or isinstance(choice, str):
        return choice or "auto", None
    kind = choice.get("type")
    if kind == "function":
        return "required", frozenset([_name_in(choice)])
    if kind == "allowed_tools":
        allowed = choice.get("allowed_tools", choice)
        if isinstance(allowed, Mapping) and allowed.get("mode") in ("auto", "required"):
            tools: Any = allowed.get("tools")
            return str(allowed["mode"]), frozenset(map(_name_in, tools if isinstance(tools, list) else ()))
    raise FieldRefused(
        "tool_choice", "must be 'none', 'auto', 'required', one function or allowed functions", "unsupported_value"
    )


def _name_in(choice: object) -> str:
    function = choice.get("function", choice) if isinstance(choice, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(name, str):
        raise FieldRefused("tool_choice", "must name its function", "invalid_value")
    return name
