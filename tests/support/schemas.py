"""Random JSON schemas of the shapes that public suites of them have (JSONSchemaBench's function calls, resources and
settings): nested objects and arrays, some of them recursive, enums, unions, ranges, patterns, formats, references."""

import random
import string
from collections.abc import Callable
from typing import Any, Final

Schema = dict[str, Any]

_WORDS: Final = (
    "name",
    "kind",
    "size",
    "tags",
    "owner",
    "labels",
    "count",
    "état",
    "start date",
    "x-id",
    "ok",
    "ratio",
)
_FORMATS: Final = ("date", "date-time", "time", "uuid", "email", "ipv4", "ipv6", "hostname")
_PATTERNS: Final = ("^[A-Z]{2}-[0-9]{3}$", "^(yes|no)$", "^#[0-9a-f]{6}$", "[0-9]{2}", "^é?[a-z]{1,4}$")


def random_schema(seed: int, depth: int = 3) -> Schema:
    """An object most of the time. All of what it allows ends, so that a reply within it can."""
    rng = random.Random(seed)
    made = _object(rng, depth) if rng.random() < 0.85 else _any(rng, depth)
    if rng.random() < 0.3:
        made["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    if rng.random() < 0.3 and made.get("type") == "object":
        _refer(rng, made)
    return made


def _any(rng: random.Random, depth: int) -> Schema:
    simple: list[Callable[[random.Random, int], Schema]] = [_string, _number, _integer, _enum, _const, _plain]
    nested: list[Callable[[random.Random, int], Schema]] = [_object, _array, _union, _tuple, _all_of, _tagged]
    make = rng.choice(simple + nested if depth > 0 else simple)
    made = make(rng, depth)
    if rng.random() < 0.2:
        made["description"] = "What it is."
    return made


def _object(rng: random.Random, depth: int) -> Schema:
    names = rng.sample(_WORDS, rng.randint(1, 4))
    made: Schema = {"type": "object", "properties": {name: _any(rng, depth - 1) for name in names}}
    made["required"] = names if rng.random() < 0.7 else rng.sample(names, rng.randint(0, len(names)))
    rest = rng.random()
    if rest < 0.8:
        made["additionalProperties"] = False
    elif rest < 0.9:
        made["additionalProperties"] = _integer(rng, 0)
    if rng.random() < 0.1:
        made = {
            "type": "object",
            "patternProperties": {"^[a-z]{1,3}$": _integer(rng, 0)},
            "additionalProperties": False,
        }
        made["minProperties"], made["maxProperties"] = 1, 2
    return made


def _array(rng: random.Random, depth: int) -> Schema:
    least = rng.randint(0, 2)
    return {"type": "array", "items": _any(rng, depth - 1), "minItems": least, "maxItems": least + rng.randint(0, 2)}


def _tuple(rng: random.Random, depth: int) -> Schema:
    first = [_any(rng, depth - 1) for _ in range(rng.randint(1, 2))]
    return {"type": "array", "prefixItems": first, "items": False, "minItems": len(first)}


def _union(rng: random.Random, depth: int) -> Schema:
    if rng.random() < 0.5:
        return {"type": [rng.choice(("string", "integer", "boolean")), "null"], "maxLength": 6}
    return {"anyOf": [_any(rng, depth - 1), {"type": "null"}]}


def _tagged(rng: random.Random, depth: int) -> Schema:
    """Of alternatives that a word tells apart, as pydantic writes them."""
    kinds = [
        {
            "type": "object",
            "properties": {"kind": {"const": kind, "type": "string"}, "value": _any(rng, depth - 1)},
            "required": ["kind", "value"],
            "additionalProperties": False,
        }
        for kind in ("cat", "dog")
    ]
    return {"oneOf": kinds, "discriminator": {"propertyName": "kind"}}


def _all_of(rng: random.Random, depth: int) -> Schema:
    base = {"type": "object", "properties": {"id": _integer(rng, 0)}, "required": ["id"]}
    return {"allOf": [base, {"type": "object", "properties": {"more": _any(rng, depth - 1)}, "required": ["more"]}]}


def _string(rng: random.Random, _: int) -> Schema:
    kind = rng.random()
    if kind < 0.2:
        return {"type": "string", "format": rng.choice(_FORMATS)}
    if kind < 0.4:
        return {"type": "string", "pattern": rng.choice(_PATTERNS)}
    least = rng.randint(0, 3)
    return {"type": "string", "minLength": least, "maxLength": least + rng.randint(0, 8)}


def _integer(rng: random.Random, _: int) -> Schema:
    low = rng.randint(-50, 50)
    made: Schema = {"type": "integer", "minimum": low, "maximum": low + rng.randint(0, 300)}
    if rng.random() < 0.2:
        made = {"type": "integer", "minimum": 0, "exclusiveMaximum": 100, "multipleOf": rng.choice((2, 5))}
    return made


def _number(rng: random.Random, _: int) -> Schema:
    return {"type": "number", "exclusiveMinimum": rng.randint(-5, 5), "maximum": rng.choice((6, 7.5, 1000))}


def _enum(rng: random.Random, _: int) -> Schema:
    values: list[Any] = [
        "a",
        'with "quotes"',
        "naïve 😀",
        3,
        None,
        True,
        {"deep": [1]},
        "".join(rng.choices(string.ascii_letters, k=8)),
    ]
    return {"enum": rng.sample(values, rng.randint(1, 5))}


def _const(rng: random.Random, _: int) -> Schema:
    return {"const": rng.choice(["fixed", 7, False, {"a": "b"}, [1, "two"]])}


def _plain(rng: random.Random, _: int) -> Schema:
    return {"type": rng.choice(["boolean", "null", "integer"]), "title": "Plain"}


def _refer(rng: random.Random, schema: Schema) -> None:
    """Some of what it has stands elsewhere, and a part of it may hold itself."""
    schema["$defs"] = {
        "leaf": _string(rng, 0),
        "tree": {
            "type": "object",
            "properties": {
                "leaf": {"$ref": "#/$defs/leaf"},
                "more": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 1},
            },
            "required": ["leaf"],
            "additionalProperties": False,
        },
    }
    schema.setdefault("properties", {})["shared"] = {"$ref": f"#/$defs/{rng.choice(('leaf', 'tree'))}"}
    schema["required"] = [*schema.get("required", []), "shared"]
