"""`python -m tests.support.appending LOG`: writes turns and deletes conversations, and says what was acknowledged.

A line each, once the store has returned: `turn CONVERSATION NUMBER` or `deleted CONVERSATION`. It never ends by itself.
"""

import sys
from itertools import count
from pathlib import Path

from tests.server.chat.making import append, conversation, record, turn

from warmturn_server.chat import ConversationId, SqliteStore

TEXT = "what was said " * 2000
"""So much that the write-ahead log is full, and begun again, after some tens of turns."""
TURNS = 6


def main(path: Path) -> None:
    store = SqliteStore(path)
    for number in count():
        name = f"conv_{number}"
        store.create(conversation(name))
        before = None
        for version in range(TURNS):
            this = f"{name}-{version}"
            said = turn(this, before, conversation=name, said=(f"{version}?", TEXT))
            store.append(append(said, record(this, f"{name} {version}"), version=version))
            print("turn", name, version, flush=True)
            before = this
        if number % 3 == 1:
            store.delete_conversation("", ConversationId(name))
            print("deleted", name, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
