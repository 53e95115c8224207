"""What commands have in common that need the server's packages."""

import os
import sys
from typing import Any, Final, NoReturn

import typer

FAILED: Final = 1
USAGE: Final = 2


def variable(setting: str) -> str:
    return f"WARMTURN_{setting.upper()}"


def load_server_settings(given: dict[str, Any], command: str) -> Any:
    """The server reads its environment itself, so only flags that were given are passed on.

    What these commands write are people's words, or state that gives them away: it is for its owner alone.
    """
    os.umask(0o077)
    try:
        from pydantic import ValidationError

        from warmturn_server.settings import Settings

        return Settings(**given)
    except ModuleNotFoundError as error:
        refuse_missing(error, command)
    except ValidationError as error:
        refuse("; ".join(_complaint(part["loc"], part["msg"], given) for part in error.errors()), USAGE)


def refuse_missing(error: ModuleNotFoundError, command: str) -> NoReturn:
    needs = f"`warmturn {command}` needs the server's packages"
    refuse(f"{needs} ({error.name} is missing): pip install 'warmturn[server]'", FAILED)


def refuse(message: str, code: int) -> NoReturn:
    """One line, whatever the error's own text is."""
    print("warmturn:", " ".join(message.split()), file=sys.stderr)
    raise typer.Exit(code)


def _complaint(location: tuple[int | str, ...], message: str, given: dict[str, Any]) -> str:
    """Named as it was set: what is not a flag comes from the environment. Settings that do not go together have no
    place.
    """
    if not location:
        return message
    setting = str(location[0])
    name = "--" + setting.replace("_", "-") if setting in given else variable(setting)
    return f"{name}: {message}"
