"""Commands that are listed without being loaded."""

from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_command


class DeferredCommand(TyperCommand):
    """Stands for a command until it is called, asked for its help or completed. Its callback imports and gives that
    command's own function; what the list of commands says of both must be the same.
    """

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return self._loaded().make_context(info_name, args, parent, **extra)

    def _loaded(self) -> Any:
        assert self.callback is not None
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
        alone.command(self.name, epilog=self.epilog)(self.callback())
        return get_command(alone)
