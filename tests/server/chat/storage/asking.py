"""Conversations for a log that is going to be damaged, and all that can be asked about them."""

from collections.abc import Callable, Iterator
from typing import Final

from tests.server.chat.making import append, conversation, record, turn

from warmturn_server.chat import ConversationId, SqliteStore, StoreCorrupt, StoreFailed, TurnId

TALKS: Final = 6
TURNS: Final = 4
WORD: Final = "Mirabelle"
Answers = dict[str, object]


def talk(store: SqliteStore, name: str) -> None:
    """A conversation whose turns and records all hold WORD."""
    store.create(conversation(name, metadata={"title": f"{WORD} of {name}"}))
    before = None
    for number in range(TURNS):
        this = f"{name}-{number}"
        part = record(this, f"{WORD} {number}; ", base=before, kept=len(f"{WORD} 0; ") * number)
        said = (f"{WORD} {number}?", f"{WORD} {number}. " * 30)
        store.append(append(turn(this, before, conversation=name, said=said), part, version=number))
        before = this


def questions(store: SqliteStore) -> Iterator[tuple[str, Callable[[], object]]]:
    for number in range(TALKS):
        name = ConversationId(f"conv_{number}")
        yield name, lambda name=name: store.conversation("", name)  # type: ignore[misc]
        yield f"all of {name}", lambda name=name: store.open_conversation("", name)  # type: ignore[misc]
        for turn_id in (TurnId(f"{name}-{number}") for number in range(TURNS)):
            yield turn_id, lambda turn_id=turn_id: store.turn("", turn_id)  # type: ignore[misc]
            yield f"before {turn_id}", lambda turn_id=turn_id: store.turns("", turn_id)  # type: ignore[misc]
            yield f"ids of {turn_id}", lambda turn_id=turn_id: store.record_parts("", turn_id)  # type: ignore[misc]


def answers(store: SqliteStore) -> Answers:
    """What was damaged says so, and is left out."""
    given: Answers = {}
    for name, ask in questions(store):
        try:
            given[name] = ask()
        except StoreFailed as error:
            assert WORD not in str(error)
            assert error.__cause__ is None, "a traceback would quote it"
            assert isinstance(error, StoreCorrupt)
    return given
