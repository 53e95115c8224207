"""Which commands there are, and which lines mean one."""

import difflib
from collections.abc import Callable

from warmturn.cli.chat.commands.asking import model, reuse, set_option, system
from warmturn.cli.chat.commands.showing import copy, lookback, save, stats
from warmturn.cli.chat.commands.talking import edit, fork, new, resume, retry, title, undo
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.console import note, note_rows
from warmturn.errors import WarmturnError

Command = Callable[[ChatSession, str], None]

_LEAVES = ("exit", "quit")
"""Words that leave without a slash too, at a terminal."""


class Leave(Exception):
    """The user is done."""


class UnknownCommand(WarmturnError):
    """What was typed looks like a command, and is none."""


def show_help(_session: ChatSession, _: str) -> None:
    """this list"""
    note_rows({f"/{name}": command.__doc__ or "" for name, command in COMMANDS.items()})
    note("any other line is said; one that begins with // is said with one slash less")
    note(
        "Alt-Enter, or \\ at the end of a line, starts another line; Tab completes; Ctrl-C stops a turn, Ctrl-D leaves"
    )


def leave(_session: ChatSession, _: str) -> None:
    """leave; the conversation stays on the server (`warmturn chat -c` resumes it)"""
    raise Leave


COMMANDS: dict[str, Command] = {
    "new": new,
    "resume": resume,
    "title": title,
    "fork": fork,
    "undo": undo,
    "retry": retry,
    "edit": edit,
    "system": system,
    "set": set_option,
    "model": model,
    "reuse": reuse,
    "stats": stats,
    "lookback": lookback,
    "save": save,
    "copy": copy,
    "help": show_help,
    "exit": leave,
}
_ALIASES = {"?": "help", "quit": "exit", "bye": "exit"}


def run_if_command(session: ChatSession, line: str, *, interactive: bool) -> bool:
    """Whether the line was one. Raises `UnknownCommand` for what looks like nothing else: a misspelt name, or one word.

    Anything else that begins with a slash is for the model, a path for example.
    """
    if interactive and line.strip() in _LEAVES:
        raise Leave
    if not line.startswith("/"):
        return False
    name, _, argument = line[1:].partition(" ")
    command = COMMANDS.get(_ALIASES.get(name, name))
    if command is not None:
        command(session, argument.strip())
        return True
    if _looks_like_command(name, argument):
        raise UnknownCommand(f"unknown command /{name}{_meant(name)}; /help lists them, //{name} says it")
    return False


def _looks_like_command(name: str, argument: str) -> bool:
    return name.isalpha() and (not argument.strip() or bool(_similar(name)))


def _meant(name: str) -> str:
    similar = _similar(name)
    return f", did you mean /{similar[0]}?" if similar else ""


def _similar(name: str) -> list[str]:
    return difflib.get_close_matches(name, [*COMMANDS, *_ALIASES], n=1, cutoff=0.7)
