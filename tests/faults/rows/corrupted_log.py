"""The files of the conversation log, damaged while no server has them open."""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.faults.row import Outcome, Row, Trial
from tests.server.chat.storage.asking import TALKS, Answers, answers, talk

from warmturn_server.chat import Conversation, ConversationId, Page, SqliteStore, StoreCorrupt
from warmturn_server.errors import StartRefused

_PAGE_BYTES = 4096


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    """One log was closed, so that all is in one file; of the other much is in its -wal file, as after a kill."""
    closed, killed = folder / "closed", folder / "killed"
    closed.mkdir()
    with closing(_log(closed)) as store:
        expected, listed = answers(store), _listed(store)
        shutil.copytree(closed, killed)
    yield _Damaged([closed, killed], folder / "damaged", expected, listed).try_once


class _Damaged:
    def __init__(self, logs: list[Path], place: Path, expected: Answers, listed: list[Conversation]) -> None:
        self._logs, self._place, self._expected, self._listed = logs, place, expected, listed

    def try_once(self, _: int, chance: random.Random) -> Outcome:
        shutil.rmtree(self._place, ignore_errors=True)
        shutil.copytree(chance.choice(self._logs), self._place)
        files = [self._place / name for name in ("log.sqlite3", "log.sqlite3-wal")]
        path = chance.choice([file for file in files if file.exists() and file.stat().st_size])
        content = path.read_bytes()
        path.write_bytes(chance.choice([_flip, _flip, _overwrite, _zero_a_page, _cut])(chance, content))
        return Outcome(Counter({"damaged": 1, self._seen(): 1}))

    def _seen(self) -> str:
        try:
            store = SqliteStore(self._place / "log.sqlite3")
        except StartRefused:
            return "refused at start"
        with closing(store):
            given = answers(store)
            with suppress(StoreCorrupt):  # a list leaves out what is damaged; asked for by name, that says so
                assert all(conversation in self._listed for conversation in _listed(store))
        wrong = [question for question, answer in given.items() if answer != self._expected[question]]
        assert not wrong, f"another answer than what was written to {wrong}"
        return "without effect" if given.keys() == self._expected.keys() else "told when read"


def _log(folder: Path) -> SqliteStore:
    store = SqliteStore(folder / "log.sqlite3")
    for number in range(TALKS):
        talk(store, f"conv_{number}")
    store.delete_conversation("", ConversationId("conv_0"))
    return store


def _listed(store: SqliteStore) -> list[Conversation]:
    return store.conversations("", Page(limit=100))


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
