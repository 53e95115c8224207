"""`warmturn ask`: one question, one answer."""

import os
import stat
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from warmturn.cli.answer_view import answer_view, show_answer
from warmturn.cli.attachments import with_files
from warmturn.cli.background.offer import Start, connect_or_start
from warmturn.cli.console import answer_json, note
from warmturn.cli.lookup import find_conversation
from warmturn.cli.options import (
    ApiKey,
    AsJson,
    Files,
    MaxTokens,
    Reuse,
    System,
    SystemFile,
    Temperature,
    Url,
)
from warmturn.cli.system_prompts import instructions
from warmturn.format import turn_line
from warmturn.stream import TextDelta, TurnEnded, TurnStream
from warmturn.wire import TurnOptions


def ask(
    question: Annotated[str | None, typer.Argument(help="The question; what is piped in comes before it.")] = None,
    conversation: Annotated[
        str | None,
        typer.Option("--conversation", "-c", help="Ask in this conversation: id, its beginning, title, or `last`."),
    ] = None,
    files: Files = None,
    system: System = None,
    system_file: SystemFile = None,
    reuse: Reuse = "state",
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    as_json: AsJson = False,
    start: Start = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Ask once; the answer streams to stdout. --json prints one JSON object per event.

    Without -c no conversation is made, and nothing that was said is in the server's log; its state stays there for a
    while, so that a question with the same beginning is answered sooner.
    """
    text = with_files(files or []) + _question(question)
    system = instructions(system, system_file)
    options: TurnOptions = {"reuse": reuse}
    if temperature is not None:
        options["temperature"] = temperature
    if system is not None:
        options["instructions"] = system
    if max_tokens is not None:
        options["max_output_tokens"] = max_tokens
    with connect_or_start(url, api_key, start) as client:
        if conversation is None:
            options["store"] = False
        else:
            options["conversation"] = find_conversation(client, conversation).id
            options["on_disconnect"] = "keep"
        with client.stream(text, **options) as stream:
            if as_json:
                _print_events(stream)
            else:
                _print_answer(stream)


def _question(argument: str | None) -> str:
    piped = sys.stdin.read().strip() if _is_piped(argument) else ""
    typed = "" if argument in (None, "-") else argument
    text = "\n\n".join(part for part in (piped, typed) if part)
    if not text:
        raise typer.BadParameter("nothing to ask: give a question, or pipe one in", param_hint="QUESTION")
    return text


def _is_piped(argument: str | None) -> bool:
    """Without a question stdin is it; beside one only a real pipe or file is read, never an idle inherited stream."""
    if sys.stdin.isatty():
        return argument == "-"
    if argument in (None, "-"):
        return True
    mode = os.fstat(sys.stdin.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _print_answer(stream: TurnStream) -> None:
    with answer_view() as view:
        show_answer(stream, view)
    note(turn_line(stream.turn.report))


def _print_events(stream: TurnStream) -> None:
    for event in stream:
        if isinstance(event, TextDelta):
            answer_json({"type": "text", "text": event.text}, indent=None)
        elif isinstance(event, TurnEnded):
            answer_json({"type": "turn", **asdict(event.turn)}, indent=None)
