"""The three decisions, and how they are carried out."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import BaseModel, model_validator


class FieldRefused(ValueError):
    """Which field of a body is to blame, and what to do about it."""

    def __init__(self, param: str, message: str, code: str = "unsupported_value") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class Refused:
    """`instead`: what to do. Values that ask for nothing, `unless` they mean something, pass: clients send defaults."""

    instead: str
    unless: tuple[object, ...] = ()

    def check(self, name: str, value: object) -> None:
        """Null is not given, and so is an empty list or object."""
        if value is None or value == [] or value == {} or any(_same(value, nothing) for nothing in self.unless):
            return
        code = "unsupported_value" if self.unless else "unsupported_parameter"
        raise FieldRefused(name, self.instead if self.unless else f"is not supported: {self.instead}", code)


@dataclass(frozen=True, slots=True)
class Fields:
    """Of one kind of body. `harmless` fields are taken, for the answer is the same without them; each says why."""

    honoured: Set[str]
    harmless: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, Refused] = field(default_factory=dict)

    def check(self, body: Mapping[str, object], within: str = "") -> None:
        """Raises `FieldRefused`. `within`: the name before those of the body's fields, with its dot."""
        for name in sorted(self.refused.keys() & body.keys()):
            self.refused[name].check(within + name, body[name])

    @property
    def decided(self) -> Set[str]:
        return self.honoured | self.harmless.keys() | self.refused.keys()


class Decided(BaseModel):
    """A body, or a part of one, whose fields are decided on before anything else is looked at."""

    fields_of: ClassVar[Fields]

    @model_validator(mode="before")
    @classmethod
    def _has_nothing_refused(cls, body: Any) -> Any:
        if isinstance(body, Mapping):
            cls.fields_of.check(body)
        return body


def _same(value: object, nothing: object) -> bool:
    """Not true for 1, nor 0 for false."""
    return value == nothing and isinstance(value, bool) == isinstance(nothing, bool)
