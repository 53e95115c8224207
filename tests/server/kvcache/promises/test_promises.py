"""State that was promised stays, within a budget and until its time runs out; what cannot be kept is said."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.state import DIGEST

from warmturn_server.errors import PromiseRefused
from warmturn_server.kvcache import BlockKey, DiskTier, Ledger, Limits, Promises, TierFull, promised_keys
from warmturn_server.kvcache.promises.ledger import Promise
from warmturn_server.kvcache.tiers.block_files import remove_oldest
from warmturn_server.room import Room

BLOCK = 100
BUDGET = 400
LONGEST = 1_000


def key(number: int) -> BlockKey:
    return BlockKey(number.to_bytes(32, "big"))


class Counted:
    """What is told of promises."""

    def __init__(self) -> None:
        self.made = self.refused = 0
        self.broken: list[str] = []

    def promise_made(self) -> None:
        self.made += 1

    def promise_refused(self) -> None:
        self.refused += 1

    def promise_broken(self, reason: str) -> None:
        self.broken.append(reason)


class Keeping:
    """A disk with room for ten blocks, and promises of four of them; started anew on the same files."""

    def __init__(self, folder: Path, *, disk_blocks: int = 10, room: Room | None = None) -> None:
        self.folder, self.now, self.counted = folder, 5_000.0, Counted()
        self.start(disk_blocks, room)

    def start(self, disk_blocks: int = 10, room: Room | None = None) -> None:
        path = self.folder / "promises"
        pinned = promised_keys(path, self.time)
        self.disk = DiskTier(self.folder, DIGEST, disk_blocks * BLOCK, room, pinned)
        limits = Limits(BUDGET, LONGEST)
        self.promises = Promises(self.disk, Ledger(path), limits, self.counted, self.time)
        self.disk.lost = self.promises.lost

    def time(self) -> float:
        return self.now

    def save(self, *numbers: int) -> None:
        for number in numbers:
            self.disk.put_many({key(number): bytes([number]) * BLOCK})

    def asked(self, name: str, numbers: Sequence[int], seconds: float = 60, owner: str = "") -> Promise:
        keys = [key(number) for number in numbers]
        until = dict.fromkeys(keys, self.now + seconds)
        return Promise(name, owner, 32 * len(keys), until, dict.fromkeys(keys, BLOCK))

    def promise(self, name: str, *numbers: int, seconds: float = 60, owner: str = "") -> None:
        """Given, and its state saved."""
        self.promises.make(self.asked(name, numbers, seconds, owner))
        self.save(*numbers)
        told = self.promises.settle(name)
        assert told is not None and told.is_kept

    def holds(self, *numbers: int) -> bool:
        return all(self.disk.contains([key(number) for number in numbers]))

    def press(self, first: int = 100, count: int = 30) -> None:
        """Others save three times as much as the disk may hold."""
        self.save(*range(first, first + count))

    @property
    def told(self) -> dict[str, object]:
        return self.promises.snapshot()


@pytest.fixture
def keeping(tmp_path: Path) -> Keeping:
    return Keeping(tmp_path / "kv")


def test_what_is_promised_stays_when_others_want_its_room(keeping: Keeping) -> None:
    keeping.save(9)
    keeping.promise("a", 1, 2)
    keeping.press()
    assert keeping.holds(1, 2) and not keeping.holds(9)
    assert keeping.disk.num_bytes <= 10 * BLOCK
    assert (keeping.told["promises"], keeping.told["bytes"]) == (1, 2 * BLOCK)


def test_what_was_there_before_stays_from_then_on(keeping: Keeping) -> None:
    keeping.save(1, 2)
    keeping.promises.make(keeping.asked("a", [1, 2]))
    assert keeping.promises.is_here_already("a")
    keeping.press()
    told = keeping.promises.settle("a")
    assert told is not None and told.is_kept and keeping.holds(1, 2)


def test_it_stays_over_a_restart(keeping: Keeping) -> None:
    keeping.promise("a", 1, 2)
    keeping.press()
    keeping.start()
    keeping.press(150)
    assert keeping.holds(1, 2)
    assert keeping.counted.broken == []
    told = keeping.promises.told("a")
    assert told is not None and (told.num_bytes, told.is_kept) == (2 * BLOCK, True)


def test_it_stays_when_a_restart_finds_a_smaller_disk(keeping: Keeping) -> None:
    keeping.promise("a", 1, 2)
    keeping.press()
    for path in keeping.folder.rglob("*.kv"):
        os.utime(path, (1, 1) if key(1).hex() in path.name or key(2).hex() in path.name else None)
    keeping.start(disk_blocks=3)
    assert keeping.holds(1, 2)


def test_its_time_runs_out(keeping: Keeping) -> None:
    keeping.promise("a", 1, 2)
    keeping.promise("b", 2, 3, seconds=90)
    keeping.now += 60
    assert (keeping.told["promises"], keeping.told["bytes"]) == (1, 2 * BLOCK)
    keeping.press()
    assert keeping.holds(2, 3) and not keeping.holds(1)
    keeping.now += 30
    keeping.start()
    keeping.press()
    assert not keeping.holds(2) and not keeping.holds(3)
    assert keeping.counted.broken == []


def test_the_budget_counts_what_several_share_once(keeping: Keeping) -> None:
    keeping.promise("a", 1, 2, 3)
    keeping.promise("b", 1, 2, 4)
    with pytest.raises(PromiseRefused) as refused:
        keeping.promises.make(keeping.asked("c", [1, 5]))
    assert (refused.value.status, refused.value.code) == (429, "promises_full")
    assert refused.value.retry_after_seconds == 61
    assert keeping.counted.refused == 1
    keeping.now += 60
    keeping.promise("c", 1, 5)


@pytest.mark.parametrize(
    ("numbers", "seconds", "says"),
    [([1], LONGEST + 60, "1,000 seconds"), ([1, 2, 3, 4, 5], 60, "500 bytes")],
)
def test_what_can_never_be_kept(keeping: Keeping, numbers: list[int], seconds: float, says: str) -> None:
    with pytest.raises(PromiseRefused, match=says) as refused:
        keeping.promises.make(keeping.asked("a", numbers, seconds))
    assert (refused.value.status, refused.value.code) == (400, "promise_refused")
    assert keeping.told["bytes"] == 0


def test_a_disk_without_room_takes_no_promise(tmp_path: Path) -> None:
    class Full(Room):
        free_bytes = 150

    keeping = Keeping(tmp_path / "kv", room=Full(tmp_path))
    keeping.promise("a", 1)
    with pytest.raises(PromiseRefused) as refused:
        keeping.promises.make(keeping.asked("b", [2, 3, 4]))
    assert refused.value.code == "promises_full"


def test_other_state_finds_no_room_rather_than_take_it(tmp_path: Path) -> None:
    class Shrinking(Room):
        free_bytes = 10_000

    room = Shrinking(tmp_path)
    keeping = Keeping(tmp_path / "kv", room=room)
    keeping.promise("a", 1)
    keeping.save(8)
    room.free_bytes = -BLOCK
    with pytest.raises(TierFull):
        keeping.save(9)
    assert keeping.holds(1) and not keeping.holds(8)


def test_state_that_never_came_is_not_promised(keeping: Keeping) -> None:
    keeping.promises.make(keeping.asked("a", [1, 2]))
    keeping.save(1)
    assert keeping.promises.settle("a") is None
    assert keeping.counted.broken == ["not_saved"]
    assert keeping.told["bytes"] == 0


def test_what_is_withdrawn_was_never_promised(keeping: Keeping) -> None:
    keeping.promises.make(keeping.asked("a", [1]))
    keeping.promises.withdraw("a")
    assert (keeping.told["bytes"], keeping.counted.broken) == (0, [])
    keeping.promise("b", 1)
    keeping.promises.withdraw("b")
    assert keeping.told["promises"] == 1, "what is settled stays"


def test_conversations_get_the_room_when_nothing_else_is_left(keeping: Keeping) -> None:
    keeping.save(8, 9)
    keeping.promise("a", 1, 2)
    keeping.disk.give_way(2 * BLOCK)
    assert keeping.holds(1, 2) and not keeping.holds(8)
    keeping.disk.give_way(BLOCK)
    assert keeping.counted.broken == ["disk_full"]
    gone = next(number for number in (1, 2) if not keeping.holds(number))
    assert keeping.promises.why_broken(key(gone)) == "disk_full"
    keeping.disk.give_way(BLOCK)
    assert keeping.counted.broken == ["disk_full"], "a promise breaks once"


def test_before_the_tier_is_there_promised_files_go_last(keeping: Keeping) -> None:
    keeping.promise("a", 1)
    keeping.save(9)
    for path in keeping.folder.rglob("*.kv"):
        os.utime(path, (1, 1) if key(1).hex() in path.name else None)
    remove_oldest(keeping.folder, BLOCK, promised_keys(keeping.folder / "promises", keeping.time))
    keeping.start()
    assert keeping.holds(1) and not keeping.holds(9)


def test_what_comes_back_is_kept_again(keeping: Keeping) -> None:
    keeping.promise("a", 1, 2)
    keeping.disk.give_way(2 * BLOCK)
    keeping.save(1, 2)
    keeping.press()
    assert keeping.holds(1, 2)


def test_what_came_back_and_stayed_to_the_end_broke_no_promise_when_it_goes_later(keeping: Keeping) -> None:
    keeping.promise("a", 1, 2)
    keeping.disk.give_way(2 * BLOCK)
    keeping.save(1)
    keeping.now += 60
    assert keeping.told["promises"] == 0
    keeping.press()
    assert not keeping.holds(1)
    assert (keeping.promises.why_broken(key(1)), keeping.promises.why_broken(key(2))) == (None, "disk_full")


@pytest.mark.parametrize(("harm", "reason"), [("removed", "lost"), ("discarded", "corrupt"), ("while down", "lost")])
def test_what_is_lost_is_counted_and_told(keeping: Keeping, harm: str, reason: str) -> None:
    keeping.promise("a", 1, 2)
    (file,) = keeping.folder.rglob(f"{key(1).hex()}.kv")
    if harm == "discarded":
        keeping.disk.remove_many([key(1)])
    else:
        file.unlink()
    if harm == "while down":
        keeping.start()
    assert keeping.disk.get_many([key(1)]) == {}
    assert keeping.counted.broken == [reason]
    assert keeping.promises.why_broken(key(1)) == reason
    assert keeping.promises.why_broken(key(2)) is None


def test_what_is_deleted_was_kept_to_its_end(keeping: Keeping) -> None:
    keeping.promise("a", 1, 2)
    keeping.promise("b", 2, 3)
    keeping.promises.forget([key(2), key(1)])
    keeping.disk.remove_many([key(1), key(2)])
    assert (keeping.counted.broken, keeping.told["bytes"]) == ([], BLOCK)
    keeping.save(1, 2)
    keeping.press()
    assert keeping.holds(3) and not keeping.holds(1) and not keeping.holds(2)
    keeping.start()
    assert (keeping.counted.broken, keeping.told["promises"]) == ([], 1)


def test_a_deleted_conversation_releases_its_promises(keeping: Keeping) -> None:
    keeping.promise("a", 1, owner="conv_1")
    keeping.promise("pin conv_1", 1, 2, owner="conv_1")
    keeping.promise("b", 3, owner="conv_2")
    keeping.promises.release_of("conv_1")
    assert (keeping.told["promises"], keeping.told["pins"]) == (1, 0)
    keeping.start()
    keeping.press()
    assert keeping.holds(3) and not keeping.holds(1)


def test_a_pin_is_replaced_and_released_by_its_name(keeping: Keeping) -> None:
    keeping.promise("turn", 1, owner="conv_1")
    keeping.promise("pin conv_1", 1, 2, owner="conv_1")
    keeping.promise("pin conv_1", 1, 3, owner="conv_1")
    assert (keeping.told["pins"], keeping.told["bytes"]) == (1, 2 * BLOCK)
    keeping.promises.release("pin conv_1")
    keeping.start()
    keeping.press()
    assert keeping.holds(1) and not keeping.holds(3)


def test_a_long_conversation_is_not_promised_many_times_over(keeping: Keeping) -> None:
    """Each turn has all of its prompt promised; what the turns before it kept, it keeps."""
    for last in range(2, 5):
        keeping.promise(f"turn {last}", *range(1, last), owner="conv_1")
        keeping.now += 1
    lines = (keeping.folder / "promises").read_bytes().splitlines()
    assert keeping.told["promises"] == 1
    keeping.start()
    assert keeping.holds(1, 2, 3) and keeping.told["bytes"] == 3 * BLOCK
    assert len(lines) < 8


def test_a_ledger_that_cannot_be_written_promises_nothing(keeping: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    keeping.promises.make(keeping.asked("a", [1]))
    keeping.save(1)
    with monkeypatch.context() as patch:
        patch.setattr("warmturn_server.kvcache.promises.ledger._append", full)
        assert keeping.promises.settle("a") is None
    keeping.promise("b", 2)
    keeping.start()
    assert keeping.told["promises"] == 1


def test_a_line_that_a_kill_cut_off_is_none(keeping: Keeping) -> None:
    keeping.promise("a", 1)
    keeping.promise("b", 2)
    path = keeping.folder / "promises"
    path.write_bytes(path.read_bytes()[:-20])
    keeping.start()
    assert (keeping.promises.told("a") is not None, keeping.promises.told("b")) == (True, None)
    keeping.promise("c", 3)
    keeping.start()
    assert keeping.told["promises"] == 2
