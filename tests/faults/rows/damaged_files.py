"""A conversation's file of which one byte is another: refused, or its state is a miss and every word is right."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

import httpx
import pytest
from tests.faults.row import Outcome, Row, Trial
from tests.support.conversation_files import brought_inside, fetched, head_bytes
from tests.support.in_thread import strangers
from tests.support.talk import Talk, checked

from warmturn_server.chat.files.head import read_head
from warmturn_server.chat.files.refusal import FileRefused
from warmturn_server.chat.files.service import ConversationFiles

_SAID = ("My cat is called Mirelo.", "She likes fish.")
_EVERY = 6
"""One trial of so many damages the head, the next byte of it each time; the others a random byte behind it."""
_ASKED = 25
"""One of so many that are taken is asked a question."""


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    with strangers(folder) as (here, there), here.client() as at_here, there.client() as at_there:
        talk = Talk.begin(at_here)
        for text in _SAID:
            talk.say(text)
        yield _Damaging(talk, at_there, there.app.state.files).try_once


class _Damaging:
    """Files are brought to the server's own service: that HTTP brings them there is tried elsewhere."""

    def __init__(self, talk: Talk, there: httpx.Client, files: ConversationFiles) -> None:
        self._files = files
        self._file = fetched(talk.client, talk.id)
        self._texts = talk.texts()
        self._reply = talk.fork().say("And now?").output
        self._there = there
        self._head = head_bytes(self._file)
        self._parts = read_head(self._file[: self._head]).parts

    def try_once(self, number: int, chance: random.Random) -> Outcome:
        in_head = number % _EVERY == 0
        at = number // _EVERY % self._head if in_head else chance.randrange(self._head, len(self._file))
        damaged = bytearray(self._file)
        damaged[at] ^= chance.randrange(1, 256)
        part = None if in_head else self._part_at(at)
        if part is None or not self._parts[part].tokens:
            return self._refused(bytes(damaged), "in the head, refused" if in_head else "in the words, refused")
        return self._taken(bytes(damaged), part, chance)

    def _refused(self, damaged: bytes, what: str) -> Outcome:
        with pytest.raises(FileRefused):
            brought_inside(self._files, damaged, self._head)
        assert checked(self._there.get("/v1/conversations"))["data"] == [], "nothing half-done stays"
        return Outcome(Counter([what]))

    def _taken(self, damaged: bytes, number: int, chance: random.Random) -> Outcome:
        """All words, and no state from the damaged block on."""
        before = sum(part.tokens for part in self._parts[:number])
        imported = brought_inside(self._files, damaged, self._head)
        assert imported.missed and imported.conversation
        assert (imported.taken_tokens, imported.missed.at_token, imported.missed.reason) == (before, before, "corrupt")
        talk = Talk(self._there, imported.conversation)
        assert talk.texts() == self._texts
        seen = Counter({"in the state, a miss": 1, "tokens taken before it": before})
        if chance.randrange(_ASKED) == 0:
            said = talk.say("And now?")
            assert said.output == self._reply
            assert (said.report["miss"]["reason"], said.cached) == (self._reason(number), before)
            seen["asked, and answered the same"] += 1
        self._there.delete(f"/v1/conversations/{talk.id}")
        return Outcome(seen)

    def _reason(self, number: int) -> str:
        """What the next prompt misses in place of the last, partial block is one that nobody has ever had."""
        return "not_found" if number == len(self._parts) - 1 else "corrupt"

    def _part_at(self, at: int) -> int:
        ends = accumulate((part.num_bytes for part in self._parts), initial=self._head)
        return sum(end <= at for end in ends) - 1


ROW = Row(
    "damaged-files",
    "of a conversation's file no byte can be another one unnoticed: it is refused, or its state is a miss",
    long=12_500,
    short=24,
    rig=_rig,
)
