"""Conversations by what people call them."""

import re
from collections.abc import Sequence
from itertools import islice

from warmturn.client import Client
from warmturn.errors import ApiError, WarmturnError
from warmturn.wire import Conversation

LAST = "last"
_PREFIX = "conv_"
_ID = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN = 5
_LEAST_SHOWN = len(_PREFIX) + 6
_RECENT = 100


class NoSuchConversation(WarmturnError):
    """No conversation goes by that name, or more than one."""


def find_conversation(client: Client, name: str, *, least_characters: int = 1) -> Conversation:
    """By id, by title, the `last` one, or by the id's beginning: so many of the characters behind `conv_`."""
    if not name:
        raise NoSuchConversation("an empty name is no conversation's; `warmturn ls` lists them")
    if name == LAST:
        return last_conversation(client)
    if known := _by_id(client, name):
        return known
    conversations = client.conversations.list()
    found = [conversation for conversation in conversations if _goes_by(conversation, name, least_characters)]
    if not found:
        raise NoSuchConversation(f"no conversation is called {name!r}; `warmturn ls` lists them")
    if len(found) > 1:
        ids = ", ".join(conversation.id for conversation in found[:_SHOWN])
        raise NoSuchConversation(
            f"{len(found)} conversations are called {name!r}: {ids}{', ...' * (len(found) > _SHOWN)}"
        )
    return found[0]


def short_ids(conversations: Sequence[Conversation]) -> list[str]:
    """Of each id its beginning, as short as tells it from the others here; `find_conversation` takes it."""
    ids = [conversation.id for conversation in conversations]
    length = next(
        (length for length in range(_LEAST_SHOWN, 64) if len({each[:length] for each in ids}) == len(set(ids))), None
    )
    return [each[:length] for each in ids]


def last_conversation(client: Client) -> Conversation:
    """The one used last, of the newest hundred: the server lists them by age."""
    newest = islice(client.conversations.list(), _RECENT)
    recent = [conversation for conversation in newest if not conversation.is_draft]
    if not recent:
        raise NoSuchConversation("there is no conversation yet; `warmturn chat` starts one")
    return max(recent, key=lambda conversation: conversation.updated_at)


def _by_id(client: Client, name: str) -> Conversation | None:
    try:
        return client.conversations.get(name) if _ID.fullmatch(name) else None
    except ApiError as error:
        if error.status not in (400, 404):
            raise
        return None


def _goes_by(conversation: Conversation, name: str, least_characters: int) -> bool:
    """`conv_` alone begins every id, and is what is left of one where a variable was empty."""
    beginning = name.removeprefix(_PREFIX)
    begins = len(beginning) >= least_characters and conversation.id.removeprefix(_PREFIX).startswith(beginning)
    return begins or name == conversation.title
