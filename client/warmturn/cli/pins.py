"""`warmturn pin`: state that is to stay for a while, whatever else wants the server's room."""

import time
from dataclasses import asdict
from typing import Annotated

import typer

from warmturn.cli.console import answer, answer_json
from warmturn.cli.lookup import find_conversation
from warmturn.cli.options import ApiKey, AsJson, Name, Url, connect
from warmturn.wire import Pin

_TIME = "%Y-%m-%d %H:%M"


def pin(
    name: Name,
    ttl: Annotated[str, typer.Option("--ttl", help="How long at least: 30m, 12h, 7d.")] = "12h",
    release: Annotated[bool, typer.Option("--release", help="Let it go again.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Keep a conversation's saved state for a while, whatever else wants the room."""
    with connect(url, api_key) as client:
        found = find_conversation(client, name)
        keeping = client.conversations
        changed = keeping.unpin(found.id) if release else keeping.pin(found.id, ttl=ttl)
    if as_json:
        answer_json(asdict(changed))
    else:
        answer(_line(changed.pin))


def _line(pinned: Pin | None) -> str:
    if pinned is None:
        return "not pinned"
    until = time.strftime(_TIME, time.localtime(pinned.until))
    return f"pinned until {until}: {pinned.tokens:,} tokens, {pinned.bytes:,} bytes"
