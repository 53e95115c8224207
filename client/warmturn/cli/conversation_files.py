"""`warmturn import`, and what `warmturn export --with-state` writes: conversations that move as files."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from warmturn.cli.console import answer, answer_json, note
from warmturn.cli.options import ApiKey, AsJson, Url, connect
from warmturn.client import Client


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `warmturn export --with-state` wrote.")],
    keep_id: Annotated[
        bool, typer.Option("--keep-id", help="Under the id that it had, if that is free here; else it is refused.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Make a conversation of a file; prints its id. State that is not taken is computed when it is needed."""
    with connect(url, api_key) as client:
        imported = client.conversations.load_file(file, keep_id=keep_id)
    if as_json:
        answer_json(asdict(imported))
        return
    answer(imported.conversation)
    if imported.state_tokens:
        note(f"state of {imported.taken_tokens:,} of {imported.state_tokens:,} tokens came along")
    if imported.why:
        note(f"from token {imported.missed_at:,} on it is computed anew: {imported.why}")


def save_file(client: Client, conversation_id: str, file: Path, *, force: bool) -> None:
    size = client.conversations.save_file(conversation_id, file, force=force)
    note(f"{file}: {size:,} bytes")
