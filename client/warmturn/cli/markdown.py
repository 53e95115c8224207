"""A conversation as a Markdown document."""

from collections.abc import Iterable
from datetime import datetime

from warmturn.format import call_line
from warmturn.wire import Conversation, Item


def as_markdown(conversation: Conversation, items: Iterable[Item]) -> str:
    """Title, id and time, then what was said; nothing of it is escaped, so that Markdown in it stays what it is."""
    messages = (part for item in items if (part := _part(item)))
    heading = conversation.title or conversation.id
    return "\n".join([f"# {heading}\n", f"{conversation.id}, {last_used(conversation)}\n", *messages])


def _part(item: Item) -> str:
    if item.type == "message":
        return f"**{item.role.capitalize()}**\n\n{item.text}\n"
    line = call_line(item).replace("`", "'")
    return f"`{line}`\n" if line else ""


def last_used(conversation: Conversation) -> str:
    return f"{datetime.fromtimestamp(conversation.updated_at):%Y-%m-%d %H:%M}"
