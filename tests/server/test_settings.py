"""What can be set does something."""

import ast
import inspect
from collections.abc import Iterator

from warmturn_server import build, serve, settings
from warmturn_server.settings import Settings


def read_of(name: str, node: ast.AST) -> Iterator[str]:
    """Which attributes of the variable `name` are read below `node`."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == name:
            yield inner.attr


def properties() -> dict[str, set[str]]:
    """What each property of the settings reads of them."""
    functions = [node for node in ast.walk(ast.parse(inspect.getsource(settings))) if isinstance(node, ast.FunctionDef)]
    return {
        function.name: set(read_of("self", function))
        for function in functions
        if isinstance(getattr(Settings, function.name, None), property)
    }


def test_no_setting_is_dead() -> None:
    used = {name for module in (build, serve) for name in read_of("settings", ast.parse(inspect.getsource(module)))}
    for name, behind in properties().items():
        assert name in used, f"the property {name} is read by nobody"
        used = used - {name} | behind
    assert used == set(Settings.model_fields)
