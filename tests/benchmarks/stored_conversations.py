"""What many stored conversations cost: `python -m tests.benchmarks.stored_conversations`.

10 to 10,000 conversations in one data folder: how long the log and the state on disk take to open, per conversation
and in all, and how long to find one of them, its state, the newest page, a text that was sent again. Processor time
where it is only computing, wall clock where a disk is read. Ends with one line of JSON.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.benchmarks.turn_speed import Row, print_table
from tests.server.chat.making import VOCABULARY, conversation, record, turn
from tests.support.state import BLOCK_SIZE, always, cache_over, disk, filled_buffer

from warmturn_server.chat import Append, ConversationId, Page, SqliteStore
from warmturn_server.chat.transcript.prefix_digests import TextDigest, prefix_digests
from warmturn_server.kvcache import PrefixCache

COUNTS: Final = (10, 100, 1000, 10_000)
STATE_TOKENS: Final = 2 * BLOCK_SIZE
ASKED: Final = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=COUNTS[-1], help="conversations")
    most = parser.parse_args().most
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        stored = 0
        for count in (count for count in COUNTS if count <= most):
            keep(Path(scratch), stored, count)
            stored = count
            rows.append(measure(Path(scratch), count))
    print_table("Conversations in one data folder, of one turn each", rows)
    print(json.dumps({"rows": rows}))


def keep(folder: Path, first: int, stop: int) -> None:
    """One turn of each, and state of its own in two blocks."""
    store, cache = SqliteStore(folder / "log.sqlite3"), opened_state(folder)
    for number in range(first, stop):
        made = turn(f"resp_{number}", conversation=name(number), said=(text(number), "fine"))
        found_by = Append(made, record(made.id, text(number)), chain_of(number), made.conversation_id)
        store.create(conversation(name(number)), found_by)
        cache.save("", state_ids(number), filled_buffer(STATE_TOKENS).snapshot(), always)
    store.close()


def measure(folder: Path, count: int) -> Row:
    log_ms = milliseconds(lambda: SqliteStore(folder / "log.sqlite3").close(), 5)
    state_ms = milliseconds(lambda: opened_state(folder), 5)
    store, cache = SqliteStore(folder / "log.sqlite3"), opened_state(folder)
    chance = random.Random(count)
    asked = [chance.randrange(count) for _ in range(ASKED)]
    assert all(cache.match("", state_ids(number)).num_tokens == STATE_TOKENS for number in asked)
    row: Row = {
        "conversations": count,
        "open the log, ms": log_ms,
        "open the state, ms": state_ms,
        "a conversation, us": each(asked, lambda number: store.open_conversation("", ConversationId(name(number)))),
        "its state, us": each(asked, lambda number: cache.match("", state_ids(number))),
        "the newest 20, us": each(asked, lambda _: store.conversations("", Page(20))),
        "a text sent again, us": each(asked, lambda number: store.records_beginning("", chain_of(number), 8)),
    }
    store.close()
    return row


def each(asked: list[int], ask: Callable[[int], object]) -> float:
    """Median of processor time, microseconds."""
    seen: list[float] = []
    for number in asked:
        began = time.process_time()
        assert ask(number)
        seen.append(time.process_time() - began)
    return round(1e6 * statistics.median(seen), 1)


def milliseconds(act: Callable[[], object], repeat: int) -> float:
    """The least wall clock of some tries."""
    seen: list[float] = []
    for _ in range(repeat):
        began = time.perf_counter()
        act()
        seen.append(time.perf_counter() - began)
    return round(1e3 * min(seen), 1)


def opened_state(folder: Path) -> PrefixCache:
    return cache_over(disk(folder / "kv", budget_bytes=2**30))


def name(number: int) -> str:
    return f"conv_{number}"


def text(number: int) -> str:
    return f"{number:06d} what is there to say about lighthouses " * 4


def chain_of(number: int) -> list[TextDigest]:
    return [*prefix_digests(text(number), "", VOCABULARY)]


def state_ids(number: int) -> tuple[int, ...]:
    return tuple(number // 100**place % 100 + place for place in range(STATE_TOKENS))


if __name__ == "__main__":
    main()
