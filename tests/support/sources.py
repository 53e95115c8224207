"""Our packages as text: who imports whom, and what their classes are made of."""

import ast
from collections.abc import Iterator
from pathlib import Path

MOST_PARAMETERS = 8


class Sources:
    """`Sources(ROOT / "client", "warmturn")`: the modules of some packages, by name."""

    def __init__(self, root: Path, *packages: str) -> None:
        self._root = root
        paths = [path for package in packages for path in sorted((root / package).rglob("*.py"))]
        self.paths = {self._name(path): path for path in paths}

    def _name(self, path: Path) -> str:
        return ".".join(path.relative_to(self._root).with_suffix("").parts).removesuffix(".__init__")

    def tree(self, module: str) -> ast.Module:
        return ast.parse(self.paths[module].read_text(encoding="utf-8"))

    @property
    def packages(self) -> list[str]:
        return sorted(module for module, path in self.paths.items() if path.name == "__init__.py")

    def imports(self, module: str) -> Iterator[str]:
        """Modules of ours that this one names in an import, in functions and under TYPE_CHECKING too."""
        for node in ast.walk(self.tree(module)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.paths)
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(module, node)
                names = (f"{origin}.{alias.name}" for alias in node.names)
                yield from (name if name in self.paths else origin for name in names if origin in self.paths)

    def _origin(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = module.split(".") if self.paths[module].name == "__init__.py" else module.split(".")[:-1]
        return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])

    def circle_in(self, package: str) -> set[str]:
        """Things that lie in this package, modules and packages, and import each other in a circle."""
        found: dict[str, set[str]] = {}
        for module in self.paths:
            if here := _inside(package, module):
                others = (_inside(package, name) for name in self.imports(module))
                found.setdefault(here, set()).update(filter(None, others))
        return in_circles({name: others - {name} for name, others in found.items()})

    def constructors(self) -> Iterator[tuple[str, int]]:
        """Every class with a constructor of its own or as a dataclass, and how many values it is given."""
        for module in self.paths:
            for node in ast.walk(self.tree(module)):
                if isinstance(node, ast.ClassDef):
                    yield f"{module}.{node.name}", _parameters(node)

    def long_constructors(self) -> dict[str, int]:
        """Classes that take more than `MOST_PARAMETERS` values to make, by name alone."""
        return {name.rpartition(".")[2]: taken for name, taken in self.constructors() if taken > MOST_PARAMETERS}


def _inside(package: str, module: str) -> str:
    if module == package:
        return "__init__"
    return module.removeprefix(f"{package}.").split(".")[0] if module.startswith(f"{package}.") else ""


def in_circles(edges: dict[str, set[str]]) -> set[str]:
    """What is left when all that imports nothing of the rest is taken away, again and again."""
    left = dict(edges)
    while free := [name for name, others in left.items() if not others & set(left)]:
        for name in free:
            del left[name]
    return set(left)


def _parameters(node: ast.ClassDef) -> int:
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            taken = part.args
            return len(taken.posonlyargs) + len(taken.args) - 1 + len(taken.kwonlyargs) + (taken.vararg is not None)
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        return sum(isinstance(part, ast.AnnAssign) and "init=False" not in ast.unparse(part) for part in node.body)
    return 0
