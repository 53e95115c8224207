"""A conversation as a Markdown document."""

from collections.abc import Iterable
from datetime import datetime

from warmturn.wire import Conversation, Item


def as_markdown(conversation: Conversation, items: Iterable[Item]) -> str:
    """Title, id and time, then what was said; nothing of it is escaped, so that Markdown in it stays what it is."""
    messages = (f"**{item.role.capitalize()}**\n\n{item.text}\n" for item in items if item.type == "message")
    heading = conversation.title or conversation.id
    return "\n".join([f"# {heading}\n", f"{conversation.id}, {last_used(conversation)}\n", *messages])


def last_used(conversation: Conversation) -> str:
    return f"{datetime.fromtimestamp(conversation.updated_at):%Y-%m-%d %H:%M}"
