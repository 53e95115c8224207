"""Conversations by what people call them."""

from itertools import islice

from warmturn.client import Client
from warmturn.errors import ApiError, WarmturnError
from warmturn.wire import Conversation

LAST = "last"
_PREFIX = "conv_"
_SHOWN = 5
_RECENT = 100


class NoSuchConversation(WarmturnError):
    """No conversation goes by that name, or more than one."""


def find_conversation(client: Client, name: str) -> Conversation:
    """By id, by the id's beginning (with or without `conv_`), by title, or the `last` one."""
    if name == LAST:
        return last_conversation(client)
    try:
        return client.conversations.get(name)
    except ApiError as error:
        if error.status not in (400, 404):
            raise
    found = [conversation for conversation in client.conversations.list() if _goes_by(conversation, name)]
    if not found:
        raise NoSuchConversation(f"no conversation is called {name!r}; `warmturn ls` lists them")
    if len(found) > 1:
        ids = ", ".join(conversation.id for conversation in found[:_SHOWN])
        raise NoSuchConversation(
            f"{len(found)} conversations are called {name!r}: {ids}{', ...' * (len(found) > _SHOWN)}"
        )
    return found[0]


def last_conversation(client: Client) -> Conversation:
    """The one used last, of the newest hundred: the server lists them by age."""
    recent = list(islice(client.conversations.list(), _RECENT))
    if not recent:
        raise NoSuchConversation("there is no conversation yet; `warmturn chat` starts one")
    return max(recent, key=lambda conversation: conversation.updated_at)


def _goes_by(conversation: Conversation, name: str) -> bool:
    return name == conversation.title or conversation.id.removeprefix(_PREFIX).startswith(name.removeprefix(_PREFIX))
