"""`warmturn chat`: a conversation at the prompt, or through a pipe."""

import sys
from typing import Annotated

import typer

from warmturn.cli.attachments import with_files
from warmturn.cli.background.offer import Start, connect_or_start
from warmturn.cli.chat.completion import completer
from warmturn.cli.chat.loop import converse
from warmturn.cli.chat.prompt import Lines, PipedLines, TerminalLines
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.chat.turn_view import show_conversation
from warmturn.cli.console import note
from warmturn.cli.lookup import LAST, find_conversation
from warmturn.cli.options import ApiKey, Files, MaxTokens, Reuse, System, SystemFile, Temperature, Url
from warmturn.cli.system_prompts import instructions
from warmturn.settings import history_file


def chat(
    name: Annotated[
        str | None, typer.Argument(metavar="CONVERSATION", help="Which one: id, its beginning, or title.")
    ] = None,
    resume: Annotated[bool, typer.Option("--continue", "-c", help="Resume that conversation, or the last.")] = False,
    files: Files = None,
    system: System = None,
    system_file: SystemFile = None,
    reuse: Reuse = "state",
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    start: Start = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Chat at the prompt, or through a pipe.

    Answers go to stdout, the line about each turn to stderr; /help lists what else can be typed.
    """
    attached, given = with_files(files or []), instructions(system, system_file)
    with connect_or_start(url, api_key, start) as client:
        session = ChatSession(client, reuse=reuse, attached=attached)
        session.set_option("temperature", temperature)
        session.set_option("max_tokens", max_tokens)
        lines: Lines = (
            TerminalLines(history_file(), completer(session), session.typed) if sys.stdin.isatty() else PipedLines()
        )
        if name is not None or resume:
            session.resume(find_conversation(client, LAST if name is None else name))
            if lines.interactive:
                show_conversation(session)
        elif lines.interactive:
            note(f"{', '.join(model.id for model in client.models())} at {client.base_url}; /help lists the commands")
        if given is not None:
            session.set_system(given)
        try:
            converse(session, lines)
        finally:
            session.leave()
