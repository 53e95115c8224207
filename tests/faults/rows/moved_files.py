"""Conversations that move as files between two servers that share nothing: they go on as those that stayed."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.faults.row import Outcome, Row, Trial
from tests.support.conversation_files import brought, fetched
from tests.support.in_thread import strangers
from tests.support.talk import Said, Talk

_WORDS = ["cat", "fish", "sleeps", "house", "tree", "blue", "sings", "old", "quick", "river", "stone", "seven", "under"]
_BLOCK_TOKENS = 8


@contextmanager
def _rig(folder: Path) -> Iterator[Trial]:
    with strangers(folder) as (here, there), here.client() as at_here, there.client() as at_there:
        yield lambda _, chance: _try_once(at_here, at_there, chance)


def _try_once(here: httpx.Client, there: httpx.Client, chance: random.Random) -> Outcome:
    """Some turns, there, some turns, back, a turn; at each place as in the conversation that stayed."""
    seen: Counter[str] = Counter()
    stayed = Talk.begin(here)
    for _ in range(chance.randint(1, 3)):
        stayed.say(_sentence(chance))
    moving = stayed
    for place in (there, here):
        moving = _moved(moving, place, seen)
        for number in range(chance.randint(1, 2)):
            text = _sentence(chance)
            _compare(stayed.say(text), moving.say(text), seen, has_moved=number == 0)
    assert moving.texts() == stayed.texts()
    for talk in (stayed, moving):
        talk.client.delete(f"/v1/conversations/{talk.id}")
    return Outcome(seen)


def _moved(talk: Talk, place: httpx.Client, seen: Counter[str]) -> Talk:
    file = fetched(talk.client, talk.id)
    imported = brought(place, file)
    state = imported.answer["state"]
    assert (imported.answer["trust"], state["miss"]) == ("signed", None)
    assert state["taken_tokens"] == state["tokens"] > 0
    seen.update({"moves": 1, "bytes": len(file), "tokens of state": state["tokens"]})
    return Talk(place, imported.conversation)


def _compare(stayed: Said, moved: Said, seen: Counter[str], *, has_moved: bool) -> None:
    assert (moved.prompt, moved.output) == (stayed.prompt, stayed.output)
    if has_moved:
        lost = stayed.cached - moved.cached if moved.report["miss"] else 0
        assert lost < _BLOCK_TOKENS, "only where a reply was cut in a character, its end is in no block of the file"
        assert moved.cached > 0
        seen.update({"tokens reused after a move": moved.cached, "tokens lost by it": lost})
    seen["turns"] += 1


def _sentence(chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS, k=chance.randint(1, 12)))


ROW = Row(
    "moved-files",
    "a conversation that moved as a file goes on token for token, on the state that came along",
    long=100,
    short=1,
    rig=_rig,
)
