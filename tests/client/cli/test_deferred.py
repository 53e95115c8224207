"""Commands that are loaded late are listed, explained and completed like all others."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.client.command import Command
from typer.main import get_command

from warmturn.cli.app import app
from warmturn.cli.demo.command import demo
from warmturn_bench.cli import bench

ALL = [
    "serve",
    "chat",
    "ask",
    "ps",
    "stop",
    "ls",
    "show",
    "rm",
    "fork",
    "export",
    "pin",
    "import",
    "stats",
    "watch",
    "doctor",
    "verify",
    "backup",
    "pull",
    "models",
    "demo",
    "bench",
]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def listed(application: typer.Typer) -> dict[str, str]:
    """What the list of commands says of each, however wide the terminal is."""
    group: Any = get_command(application)
    return {name: command.get_short_help_str(1000) for name, command in group.commands.items()}


@pytest.mark.parametrize("function", [demo, bench])
def test_the_list_says_what_the_command_says_of_itself(function: Callable[..., None]) -> None:
    alone = typer.Typer()
    alone.callback()(lambda: None)
    alone.command()(function)
    assert listed(alone)[function.__name__] == listed(app)[function.__name__]


def test_all_commands_are_listed_in_their_order(command: Command) -> None:
    _, _, commands = command("--help").ok().partition("Commands:")
    assert re.findall(r"^  (\w+)", commands, re.MULTILINE) == ALL


def complete(command: Command, line: str) -> list[str]:
    """What bash is told of the last word of the line."""
    last = str(line.count(" "))
    return command(_WARMTURN_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=last).ok().split()


@pytest.mark.slow
def test_the_shell_completes_names_and_flags(command: Command) -> None:
    assert complete(command, "warmturn ") == ALL
    assert complete(command, "warmturn be") == ["bench"]
    assert complete(command, "warmturn bench --sc") == ["--scenario"]
    assert complete(command, "warmturn bench --scenario id") == ["idle"]
    assert complete(command, "warmturn demo --de") == ["--device"]


@pytest.mark.parametrize("name", ["demo", "bench"])
def test_their_errors_name_them(command: Command, name: str) -> None:
    refused = command(name, "--no-such-flag")
    assert (refused.code, refused.stdout) == (2, "")
    assert f"Usage: warmturn {name} " in refused.stderr
