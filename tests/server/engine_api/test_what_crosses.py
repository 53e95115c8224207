"""What is asked of an engine and what it says could go to another process: plain values, without torch or clocks."""

import dataclasses
import importlib
import pkgutil
import subprocess
import sys
import typing
from collections.abc import Iterator
from concurrent.futures import Future
from types import ModuleType

import pytest

import warmturn_server.engine_api

PLAIN = {int, float, str, bool, type(None)}
COLLECTIONS = {tuple, frozenset, dict}


def modules() -> Iterator[ModuleType]:
    package = warmturn_server.engine_api
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def dataclasses_of_it() -> list[type]:
    found = {value for module in modules() for value in vars(module).values() if dataclasses.is_dataclass(value)}
    return sorted((value for value in found if isinstance(value, type)), key=lambda value: value.__name__)


def is_plain(kind: object) -> bool:
    """Numbers, texts, enumerations of texts, and collections and dataclasses of them."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return True
    if arguments:
        of_a_kind = origin in COLLECTIONS or type(None) in arguments
        return of_a_kind and all(argument is ... or is_plain(argument) for argument in arguments)
    if kind in PLAIN or dataclasses.is_dataclass(kind):
        return True
    return isinstance(kind, type) and issubclass(kind, str)


@pytest.mark.parametrize("kind", dataclasses_of_it(), ids=lambda kind: kind.__name__)
def test_only_plain_values_cross(kind: type) -> None:
    for name, of_field in typing.get_type_hints(kind).items():
        assert is_plain(of_field), f"{kind.__name__}.{name}: {of_field}"


def test_a_future_is_not_plain() -> None:
    assert not is_plain(Future[int] | None)
    assert not is_plain(tuple[Future[int], ...])


def loaded_by(package: str) -> set[str]:
    """All modules, in a fresh process."""
    look = f"import sys, warmturn_server.{package}; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    return set(told.stdout.split())


@pytest.mark.parametrize("package", ["engine_api", "chat", "api"])
def test_no_torch_is_loaded(package: str) -> None:
    assert "torch" not in loaded_by(package)


def test_it_needs_nothing_of_the_server_but_its_errors() -> None:
    ours = {name for name in loaded_by("engine_api") if name.startswith("warmturn_server")}
    others = {name for name in ours if not name.startswith("warmturn_server.engine_api")}
    assert others <= {"warmturn_server", "warmturn_server.errors"}
