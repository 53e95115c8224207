"""What `serve run warmturn_server.ray:app NAME=VALUE ...` takes: how many replicas of what size, and settings."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ..errors import StartRefused
from ..redis_link import RedisLink
from ..settings import Settings

_OF_SERVE: Final = ("host", "port", "max_connections", "head_seconds", "body_seconds", "reader_seconds")
"""Connections are those of Serve's proxies."""
_SECRET: Final = ("api_key", "redis_secret", "log_secret")
_URLS: Final = ("redis", "log_redis")


@dataclass(frozen=True, slots=True)
class Scale:
    """`cpus`: of one replica, and as many threads compute in it. `replicas`: always so many; else from `min_replicas`
    to `max_replicas`, as many as it takes for each to have `turns_per_replica` turns in flight.
    """

    replicas: int | None = None
    min_replicas: int = 1
    max_replicas: int | None = None
    turns_per_replica: float = 8.0
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.replicas is not None and self.max_replicas is not None:
            raise StartRefused("replicas= is a fixed number, max_replicas= lets it vary: give one of them")
        fixed = 1 if self.replicas is None else self.replicas
        if min(fixed, self.min_replicas, self.turns_per_replica, self.cpus) <= 0 or self.gpus < 0:
            raise StartRefused("replicas, min_replicas, turns_per_replica and cpus are more than 0, gpus at least 0")
        if self.max_replicas is not None and self.max_replicas < self.min_replicas:
            raise StartRefused(f"max_replicas={self.max_replicas} is less than min_replicas={self.min_replicas}")

    @property
    def threads(self) -> int:
        return max(1, int(self.cpus))


@dataclass(frozen=True, slots=True)
class Arguments:
    """As they were given, but for their types: what else a replica is set up with comes from its own environment."""

    scale: Scale
    settings: Mapping[str, Any]

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Arguments:
        """Raises `StartRefused` with what to do."""
        named = {name: value for name, value in given.items() if name in _SCALE}
        settings = {name: value for name, value in given.items() if name not in _SCALE}
        _refuse_idle(named.keys())
        _refuse_misplaced(settings)
        arguments = cls(Scale(**{name: _typed(name, value) for name, value in named.items()}), settings)
        arguments.read()
        return arguments

    def read(self) -> Settings:
        """With the environment of this process. Raises `StartRefused`."""
        given: dict[str, Any] = {"log": "redis", "threads": self.scale.threads, **self.settings}
        if self.scale.gpus:
            given.setdefault("device", "cuda")
        try:
            settings = Settings(**given)
        except ValidationError as error:
            raise StartRefused("; ".join(_complaint(part) for part in error.errors())) from None
        _refuse_what_needs_one_server(settings)
        return settings


_SCALE: Final[Mapping[str, TypeAdapter[Any]]] = {
    name: TypeAdapter(kind) for name, kind in get_type_hints(Scale).items() if name in Scale.__dataclass_fields__
}
_NAMES: Final = sorted({*_SCALE, *Settings.model_fields} - {*_OF_SERVE, *_SECRET})


def _typed(name: str, value: object) -> Any:
    try:
        return _SCALE[name].validate_python(value)
    except ValidationError as error:
        raise StartRefused(f"{name}={value}: {error.errors()[0]['msg']}") from None


def _refuse_idle(named: Set[str]) -> None:
    """What would be taken, and do nothing."""
    if {"replicas", "min_replicas"} <= named:
        raise StartRefused("replicas= is a fixed number, min_replicas= lets it vary: give one of them")
    if "turns_per_replica" in named and "max_replicas" not in named:
        raise StartRefused("turns_per_replica= says when there are more replicas: give max_replicas= with it")


def _refuse_misplaced(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        if name in _OF_SERVE:
            raise StartRefused(
                f"{name}= is for Serve to say, which holds the connections: see http_options in its YAML"
            )
        if name in _SECRET:
            raise StartRefused(
                f"{name}= would be shown to everybody who may look at the cluster: set WARMTURN_{name.upper()} in the "
                "environment of every node instead"
            )
        if name not in Settings.model_fields:
            close = difflib.get_close_matches(name, _NAMES, 1)
            meant = f"did you mean {close[0]}?" if close else f"known are {', '.join(_NAMES)}"
            raise StartRefused(f"unknown argument {name}=: {meant}")
        if name in _URLS and RedisLink.parse(str(value)).password:
            raise StartRefused(
                f"the password in {name}= would be shown to everybody who may look at the cluster: set the whole "
                f"address as WARMTURN_{name.upper()} in the environment of every node instead"
            )


def _refuse_what_needs_one_server(settings: Settings) -> None:
    if settings.log != "redis":
        raise StartRefused("replicas share their conversations in Redis: leave log= out, and give redis=")
    if settings.api_key is None and not settings.insecure_no_key:
        raise StartRefused(
            "whoever reaches Serve's proxies could read and delete every conversation: set WARMTURN_API_KEY in the "
            "environment of every node, or ask for that with insecure_no_key=true"
        )


def _complaint(part: Mapping[str, Any]) -> str:
    """Named as it was set. Settings that do not go together have no place; there flags are arguments here."""
    if not part["loc"]:
        return (
            "replicas share their conversations in Redis: give redis=redis://host:6379/0, or log_redis= if the log has "
            "a Redis of its own, or set WARMTURN_REDIS in the environment of every node"
            if part["type"] == "log_without_address"
            else str(part["msg"])
        )
    name = str(part["loc"][0])
    is_variable = f"WARMTURN_{name.upper()}" in os.environ
    return f"{f'WARMTURN_{name.upper()}' if is_variable else f'{name}='}: {part['msg']}"
