"""`client.conversations`: the durable records on the server."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from warmturn.conversation_file import bring, fetch
from warmturn.transport import Transport, path_segment
from warmturn.wire import (
    Conversation,
    Imported,
    Item,
    LoggedTurn,
    Message,
    Warming,
    parse_conversation,
    parse_item,
    parse_logged_turn,
    parse_warming,
)

_PAGE = 100


class Conversations:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, *, items: Sequence[Message] = (), metadata: Mapping[str, str] | None = None) -> Conversation:
        body = {"items": [{"type": "message", **item} for item in items], "metadata": dict(metadata or {})}
        return parse_conversation(self._transport.post("/v1/conversations", body))

    def list(self) -> Iterator[Conversation]:
        """All of them, newest first, fetched page by page as they are asked for."""
        return map(parse_conversation, self._pages("/v1/conversations", "desc"))

    def get(self, conversation_id: str) -> Conversation:
        return parse_conversation(self._transport.get(_path(conversation_id)))

    def update(self, conversation_id: str, *, metadata: Mapping[str, str]) -> Conversation:
        return parse_conversation(self._transport.post(_path(conversation_id), {"metadata": dict(metadata)}))

    def delete(self, conversation_id: str) -> None:
        """The record and its saved state."""
        self._transport.delete(_path(conversation_id))

    def items(self, conversation_id: str) -> Iterator[Item]:
        """Oldest first."""
        return map(parse_item, self._pages(f"{_path(conversation_id)}/items", "asc"))

    def turns(self, conversation_id: str, *, newest_first: bool = False) -> Iterator[LoggedTurn]:
        """The reports of its answered turns."""
        order = "desc" if newest_first else "asc"
        return map(parse_logged_turn, self._pages(f"{_path(conversation_id)}/turns", order))

    def delete_item(self, conversation_id: str, item_id: str) -> Conversation:
        return parse_conversation(self._transport.delete(f"{_path(conversation_id)}/items/{path_segment(item_id)}"))

    def fork(
        self, conversation_id: str, *, item_id: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Conversation:
        """A second conversation with the same past, up to and with `item_id`; what both share is stored once.

        Its metadata is the first one's if left out.
        """
        given = {"item_id": item_id, "metadata": None if metadata is None else dict(metadata)}
        body = {name: value for name, value in given.items() if value is not None}
        return parse_conversation(self._transport.post(f"{_path(conversation_id)}/fork", body))

    def warm(
        self,
        conversation_id: str,
        *,
        input: str | None = None,  # noqa: A002 - the API's own name
        instructions: str | None = None,
        timeout: float | None = None,
    ) -> Warming:
        """Have its saved state brought nearer before the next turn; the server answers before that is done.

        With `input`, what the user has typed so far, and the turn's `instructions`, that is prepared; empty, it is
        abandoned.
        """
        given = {"input": input, "instructions": instructions}
        body = {name: value for name, value in given.items() if value is not None}
        return parse_warming(self._transport.post(f"{_path(conversation_id)}/warm", body, timeout))

    def pin(self, conversation_id: str, *, ttl: str) -> Conversation:
        """Have its saved state stay at least so long (`30m`, `12h`, `7d`), whatever else wants the room."""
        return parse_conversation(self._transport.post(f"{_path(conversation_id)}/pin", {"ttl": ttl}))

    def unpin(self, conversation_id: str) -> Conversation:
        """Its state may leave as any other."""
        return parse_conversation(self._transport.delete(f"{_path(conversation_id)}/pin"))

    def save_file(self, conversation_id: str, file: Path, *, force: bool = False) -> int:
        """Write it into a file, with its saved state, and return how many bytes that has. `force` replaces a file."""
        return fetch(self._transport, f"{_path(conversation_id)}/file", file, force=force)

    def load_file(self, file: Path, *, keep_id: bool = False) -> Imported:
        """Make a conversation of such a file: a new one, or under the id that it had if that is free here."""
        return bring(self._transport, file, keep_id=keep_id)

    def _pages(self, path: str, order: str) -> Iterator[dict[str, Any]]:
        params: dict[str, str | int] = {"limit": _PAGE, "order": order}
        while True:
            page = self._transport.get(path, params)
            yield from page["data"]
            if not page.get("has_more"):
                return
            params["after"] = page["last_id"]


def _path(conversation_id: str) -> str:
    return f"/v1/conversations/{path_segment(conversation_id)}"
