"""What Tab completes at the prompt: commands, what they can be given, and conversations by title and id."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from warmturn.cli.chat.commands.asking import SETTABLE
from warmturn.cli.chat.commands.table import COMMANDS
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.lookup import short_ids
from warmturn.errors import WarmturnError
from warmturn.wire import REUSE_MODES

if TYPE_CHECKING:
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.document import Document

_ARGUMENTS = {"reuse": REUSE_MODES, "set": SETTABLE, "system": ("off",)}


def completer(session: ChatSession) -> "Completer":
    """Asks the server for names only when Tab is pressed behind a command that takes one."""
    from prompt_toolkit.completion import Completer, Completion

    class ChatCompleter(Completer):
        def get_completions(self, document: "Document", _event: object) -> "Iterable[Completion]":
            typed = document.text_before_cursor
            for whole in completions(session, typed):
                yield Completion(whole, start_position=-len(_last(typed)))

    return ChatCompleter()


def completions(session: ChatSession, typed: str) -> Iterator[str]:
    """Of the word, or of the title, that `typed` ends in; none of what is no command."""
    command, space, _ = typed.partition(" ")
    if not command.startswith("/"):
        return
    candidates: Iterable[str] = (f"/{name}" for name in COMMANDS)
    if space:
        candidates = _arguments(session, command[1:])
    for candidate in candidates:
        if candidate.lower().startswith(_last(typed).lower()):
            yield candidate


def _arguments(session: ChatSession, command: str) -> Iterable[str]:
    if command == "resume":
        return _names(session)
    if command == "model":
        return _model_names(session)
    return _ARGUMENTS.get(command, ())


def _last(typed: str) -> str:
    command, space, argument = typed.partition(" ")
    return argument.lstrip() if space else command


def _names(session: ChatSession) -> list[str]:
    with suppress(WarmturnError):
        recent = session.recent()
        titles = dict.fromkeys(conversation.title for conversation in recent if conversation.title)
        return [*titles, *short_ids(recent)]
    return []


def _model_names(session: ChatSession) -> list[str]:
    with suppress(WarmturnError):
        return [model.id for model in session.client.models()]
    return []
