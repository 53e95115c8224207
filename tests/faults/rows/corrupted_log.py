"""The files of the conversation log, damaged while no server has them open."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.faults.row import Outcome, Row, Trial
from tests.server.chat.making import append, conversation, record, turn

from warmturn_server.chat import ConversationId, Page, SqliteStore, StoreFailed, TurnId
from warmturn_server.errors import StartRefused

_CONVERSATIONS, _TURNS = 8, 5
_WORD = "Mirabelle "
_PAGE_BYTES = 4096
_UNREADABLE = "unreadable"
_LIST = "all conversations"
Answers = dict[str, object]


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    """One log was closed, so that all is in one file; of the other much is in its -wal file, as after a kill."""
    closed, killed = folder / "closed", folder / "killed"
    closed.mkdir()
    with closing(_log(closed)) as store:
        expected = _answers(store)
        shutil.copytree(closed, killed)
    yield _Damaged([closed, killed], folder / "damaged", expected).try_once


class _Damaged:
    def __init__(self, logs: list[Path], place: Path, expected: Answers) -> None:
        self._logs, self._place, self._expected = logs, place, expected

    def try_once(self, _: int, chance: random.Random) -> Outcome:
        shutil.rmtree(self._place, ignore_errors=True)
        shutil.copytree(chance.choice(self._logs), self._place)
        files = [
            path for path in sorted(self._place.iterdir()) if path.suffix != ".sqlite3-shm" and path.stat().st_size
        ]
        path = chance.choice([file for file in files if not file.name.endswith(("-shm", "-count"))])
        content = path.read_bytes()
        path.write_bytes(chance.choice([_flip, _flip, _overwrite, _zero_a_page, _cut])(chance, content))
        return Outcome(Counter({"damaged": 1, self._seen(): 1}))

    def _seen(self) -> str:
        try:
            store = SqliteStore(self._place / "log.sqlite3")
        except StartRefused:
            return "refused at start"
        with closing(store):
            answers = _answers(store)
        wrong = [question for question, answer in answers.items() if not self._is_right(question, answer)]
        assert not wrong, f"another answer than what was written to {wrong}"
        return "told when read" if _UNREADABLE in answers.values() else "without effect"

    def _is_right(self, question: str, answer: object) -> bool:
        """A list leaves out what is damaged; asked for by name, that says so."""
        expected = self._expected[question]
        if isinstance(answer, list) and isinstance(expected, list) and question == _LIST:
            return all(entry in expected for entry in answer)
        return answer in (expected, _UNREADABLE)


def _log(folder: Path) -> SqliteStore:
    store = SqliteStore(folder / "log.sqlite3")
    for number in range(_CONVERSATIONS):
        _talk(store, f"conv_{number}")
    store.delete_conversation("", ConversationId("conv_0"))
    return store


def _talk(store: SqliteStore, name: str) -> None:
    store.create(conversation(name, metadata={"title": f"{_WORD}of {name}"}))
    before = None
    for number in range(_TURNS):
        this = f"{name}-{number}"
        part = record(this, f"{_WORD}{number}; ", base=before, kept=len(f"{_WORD}0; ") * number)
        said = (f"{_WORD}{number}?", f"{_WORD}{number}. " * 20)
        store.append(append(turn(this, before, conversation=name, said=said), part, version=number))
        before = this


def _answers(store: SqliteStore) -> Answers:
    given: Answers = {}
    for question, ask in _questions(store):
        try:
            given[question] = ask()
        except StoreFailed as told:
            assert _WORD.strip() not in str(told), "what was said is quoted"
            given[question] = _UNREADABLE
    return given


def _questions(store: SqliteStore) -> Iterator[tuple[str, Callable[[], object]]]:
    yield _LIST, lambda: store.conversations("", Page(limit=100))
    for number in range(_CONVERSATIONS):
        name = ConversationId(f"conv_{number}")
        yield f"the turns of {name}", lambda name=name: store.open_conversation("", name)  # type: ignore[misc]
        for turn_id in (TurnId(f"{name}-{number}") for number in range(_TURNS)):
            yield turn_id, lambda turn_id=turn_id: store.turn("", turn_id)  # type: ignore[misc]
            yield f"the ids of {turn_id}", lambda turn_id=turn_id: store.record_parts("", turn_id)  # type: ignore[misc]


def _flip(chance: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _overwrite(chance: random.Random, content: bytes) -> bytes:
    at, size = chance.randrange(len(content)), chance.randrange(1, 300)
    return content[:at] + chance.randbytes(size)[: len(content) - at] + content[at + size :]


def _zero_a_page(chance: random.Random, content: bytes) -> bytes:
    at = chance.randrange(0, len(content), _PAGE_BYTES)
    return content[:at] + bytes(min(_PAGE_BYTES, len(content) - at)) + content[at + _PAGE_BYTES :]


def _cut(chance: random.Random, content: bytes) -> bytes:
    return content[: chance.randrange(len(content))]


ROW = Row(
    "corrupted-log",
    "a damaged log is told of; what it still answers is what was written",
    long=10_000,
    short=150,
    rig=_rig,
)
