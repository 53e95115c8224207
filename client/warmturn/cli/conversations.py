"""`warmturn ls`, `show`, `rm`, `fork`, `export`: the conversations on the server."""

import json
import sys
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from warmturn.cli.console import answer, answer_json, note
from warmturn.cli.conversation_files import save_file
from warmturn.cli.lookup import find_conversation, short_ids
from warmturn.cli.markdown import as_markdown, last_used
from warmturn.cli.misses_view import miss_lines
from warmturn.cli.options import ApiKey, AsJson, Name, Url, connect
from warmturn.cli.prefetch import prefetch
from warmturn.client import Client
from warmturn.errors import SettingsError
from warmturn.format import call_line
from warmturn.wire import Conversation, Item, LoggedTurn

_LEAST_TO_DELETE = 4
"""Characters of an id: one that was cut short or mistyped should not happen to fit."""


def ls(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List conversations, newest first."""
    with connect(url, api_key) as client:
        conversations = list(islice(client.conversations.list(), limit))
        _print(conversations, as_json)
        prefetch(client, conversations)


def show(
    name: Name,
    misses: Annotated[bool, typer.Option("--misses", help="Where reuse of state stopped early, and why.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Print a conversation."""
    with connect(url, api_key) as client:
        if misses:
            _show_misses(client, name, as_json)
            return
        conversation, items = _whole(client, name)
    if as_json:
        answer_json(_document(conversation, items))
        return
    note(_line(conversation))
    for item in items:
        if item.type == "message":
            answer(f"{item.role}: {item.text}")
        elif line := call_line(item):
            note(line)


def rm(
    names: Annotated[
        list[str],
        typer.Argument(metavar="CONVERSATION", help="Ids, their beginnings (at least 4 characters), or titles."),
    ],
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Delete conversations and their saved state."""
    with connect(url, api_key) as client:
        found = [find_conversation(client, name, least_characters=_LEAST_TO_DELETE) for name in names]
        for conversation_id in dict.fromkeys(conversation.id for conversation in found):
            client.conversations.delete(conversation_id)
            note(f"deleted {conversation_id}")


def fork(
    name: Name,
    at: Annotated[str | None, typer.Option("--at", help="Only up to and with this item.", show_default=False)] = None,
    as_json: AsJson = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Start a second conversation with the same past; prints its id."""
    with connect(url, api_key) as client:
        forked = client.conversations.fork(find_conversation(client, name).id, item_id=at)
    if as_json:
        answer_json(asdict(forked))
    else:
        answer(forked.id)


def export(
    name: Name,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; default stdout.", show_default=False)
    ] = None,
    with_state: Annotated[
        Path | None,
        typer.Option(
            "--with-state",
            metavar="FILE",
            help="Write a file with its words, token ids and saved state, for `warmturn import` elsewhere.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --with-state replace a file that is there.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write a conversation as Markdown, as JSON, or as a file that another server can go on from."""
    if with_state is not None and (output is not None or as_json):
        raise SettingsError("give either --with-state, or --output and --json: the one is a file for servers")
    if force and with_state is None:
        raise SettingsError("--force goes with --with-state")
    with connect(url, api_key) as client:
        if with_state is not None:
            save_file(client, find_conversation(client, name).id, with_state, force=force)
            return
        conversation, items = _whole(client, name)
    if as_json:
        text = json.dumps(_document(conversation, items), indent=2, ensure_ascii=False) + "\n"
    else:
        text = as_markdown(conversation, items)
    if output is None:
        answer(text, end="")
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot write {output}: {error.strerror}") from error


def _show_misses(client: Client, name: str, as_json: bool) -> None:
    turns = list(client.conversations.turns(find_conversation(client, name).id))
    missed = [(number, turn) for number, turn in enumerate(turns, 1) if turn.report.miss]
    if as_json:
        answer_json([_miss_document(number, turn) for number, turn in missed])
        return
    for number, turn in missed:
        for line in miss_lines(number, turn):
            answer(line)
    note(f"{len(missed)} of {len(turns)} turns had a miss")


def _miss_document(number: int, turn: LoggedTurn) -> dict[str, Any]:
    tokens = {"prompt_tokens": turn.report.prompt_tokens, "cached_tokens": turn.report.cached_tokens}
    miss = asdict(turn.report.miss) if turn.report.miss else None
    return {"turn": number, "response": turn.id, "created_at": turn.created_at, **tokens, "miss": miss}


def _print(conversations: list[Conversation], as_json: bool) -> None:
    if as_json:
        answer_json([asdict(conversation) for conversation in conversations])
        return
    ids = short_ids(conversations) if sys.stdout.isatty() else [conversation.id for conversation in conversations]
    for shown_id, conversation in zip(ids, conversations, strict=True):
        answer(_line(conversation, shown_id))
    if not conversations:
        note("no conversations yet; `warmturn chat` starts one")


def _whole(client: Client, name: str) -> tuple[Conversation, list[Item]]:
    conversation = find_conversation(client, name)
    return conversation, list(client.conversations.items(conversation.id))


def _document(conversation: Conversation, items: list[Item]) -> dict[str, Any]:
    return {**asdict(conversation), "items": [asdict(item) for item in items]}


def _line(conversation: Conversation, shown_id: str = "") -> str:
    """Tabs where a program reads, columns where a person does."""
    columns = (shown_id or conversation.id, last_used(conversation), conversation.title)
    return ("  " if sys.stdout.isatty() else "\t").join(columns).rstrip()
