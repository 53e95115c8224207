"""Which words of JSON Schema are carried out here. Any other is refused with its place: one that was passed over would
let through what it forbids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ....errors import InvalidRequest

_OF_ONE: Final = ("items", "additionalProperties", "additionalItems")
_OF_MANY: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_OF_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions")
_OF_VALUES: Final = ("type", "const", "enum", "$ref", "required", "pattern", "format", "minLength", "maxLength")
_OF_SIZES: Final = ("minItems", "maxItems", "minProperties", "maxProperties")
_OF_NUMBERS: Final = ("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_NAMES: Final = ("$schema", "$id", "id", "$anchor", "$comment", "title", "description", "discriminator")
_NOTES: Final = ("default", "examples", "example", "deprecated", "readOnly", "writeOnly")
_CONTENT: Final = ("contentEncoding", "contentMediaType")
"""Names, notes and content say something to people and programs, and forbid nothing; a `discriminator` goes with the
`oneOf` beside it."""
_KNOWN: Final = frozenset().union(
    _OF_ONE, _OF_MANY, _OF_NAMED, _OF_VALUES, _OF_SIZES, _OF_NUMBERS, _NAMES, _NOTES, _CONTENT
)


def refuse_unknown_keywords(schema: object, place: str) -> None:
    """Raises `InvalidRequest` with the place of the first word in `schema` that is not known here."""
    if not isinstance(schema, Mapping):
        return
    for name in schema:
        if name not in _KNOWN and not _is_private(name):
            raise InvalidRequest(
                f"{place}: the keyword {name[:64]!r} is not supported in a schema here. Leave it out, and check "
                "what it says in your own code.",
                code="invalid_json_schema",
                param=place,
            )
    for inner_place, inner in subschemas(schema, place):
        refuse_unknown_keywords(inner, inner_place)


def subschemas(schema: Mapping[str, object], place: str) -> Iterator[tuple[str, object]]:
    """The schemas right within a schema, each with its place."""
    for name in _OF_ONE:
        if isinstance(inner := schema.get(name), Mapping):
            yield f"{place}.{name}", inner
    for name in _OF_MANY:
        if isinstance(several := schema.get(name), list):
            yield from ((f"{place}.{name}[{number}]", inner) for number, inner in enumerate(several))
    for name in _OF_NAMED:
        if isinstance(named := schema.get(name), Mapping):
            yield from ((f"{place}.{name}{_step(key)}", inner) for key, inner in named.items())


def _is_private(name: str) -> bool:
    """Others' own notes. The library's would change its rules."""
    return name.startswith("x-") and name != "x-guidance"


def _step(name: str) -> str:
    name = name[:64]
    return f".{name}" if name.isidentifier() else f"[{name!r}]"
