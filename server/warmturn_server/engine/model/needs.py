"""Packages that only some models need: which one is missing, in place of a traceback."""

from __future__ import annotations

from importlib.util import find_spec

from ...errors import ModelRefused


def refuse_missing(what: str, extra: str, modules: tuple[str, ...]) -> None:
    """Raise `ModelRefused` where one of the modules that an extra of this package brings is not there."""
    if missing := [module for module in modules if find_spec(module) is None]:
        raise ModelRefused(f"{what} needs {' and '.join(missing)}: pip install 'warmturn[{extra}]'")
