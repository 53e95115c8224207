"""Tells the server which conversations are likely to go on, so that their state is near by then."""

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

from warmturn.client import Client
from warmturn.errors import WarmturnError
from warmturn.wire import Conversation

_MOST = 3
_SECONDS = 1.0


def prefetch(client: Client, conversations: Iterable[Conversation]) -> None:
    """A hint for the first few, given up at the first that fails: what the user asked for does not depend on it."""
    with suppress(WarmturnError):
        for conversation in islice(conversations, _MOST):
            client.conversations.warm(conversation.id, timeout=_SECONDS)
