"""What is special about the disk: it outlives the process, others can touch it, and it can fail."""

import os
import stat
import threading
from pathlib import Path

import pytest
from tests.support.state import DIGEST, Tally, disk

from warmturn_server.kvcache import BlockKey, DiskTier, FingerprintDigest, GuardedTier, TierFull, TierUnavailable
from warmturn_server.kvcache.tiers.block_files import remove_oldest
from warmturn_server.room import Room

OTHER_MODEL = FingerprintDigest(bytes(32))


def key(number: int) -> BlockKey:
    return BlockKey(number.to_bytes(32, "big"))


def put(tier: DiskTier | GuardedTier, *numbers: int, num_bytes: int = 100) -> None:
    for number in numbers:
        tier.put_many({key(number): bytes([number]) * num_bytes})


def files(root: Path, suffix: str = ".kv") -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.suffix == suffix)


def test_blocks_survive_a_restart(tmp_path: Path) -> None:
    put(disk(tmp_path), 1, 2)
    again = disk(tmp_path)
    assert again.get_many([key(1), key(2)]) == {key(1): b"\1" * 100, key(2): b"\2" * 100}
    assert (again.num_blocks, again.num_bytes) == (2, 200)
    assert not again.has_foreign_blocks


def test_the_order_of_use_survives_a_restart(tmp_path: Path) -> None:
    first = disk(tmp_path, 300)
    put(first, 1, 2, 3)
    for age, path in enumerate(files(tmp_path)):
        os.utime(path, ns=(age * 10**9, age * 10**9))
    first.get_many([key(1)])
    again = disk(tmp_path, 300)
    put(again, 4)
    assert again.contains([key(1), key(2), key(3), key(4)]) == [True, False, True, True]


def test_a_smaller_budget_is_kept_from_the_start(tmp_path: Path) -> None:
    put(disk(tmp_path), *range(10))
    smaller = disk(tmp_path, 350)
    assert smaller.num_blocks == 3
    assert len(files(tmp_path)) == 3


def test_the_budget_counts_what_other_models_left(tmp_path: Path) -> None:
    put(disk(tmp_path, digest=OTHER_MODEL), *range(1, 6))
    tier = disk(tmp_path, 600)
    assert tier.has_foreign_blocks
    put(tier, 11, 12, 13)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 600
    assert tier.contains([key(11), key(12), key(13)]) == [True] * 3


def test_what_other_models_left_can_go_alone(tmp_path: Path) -> None:
    put(disk(tmp_path, digest=OTHER_MODEL), 1, 2)
    tier = disk(tmp_path)
    put(tier, 3)
    tier.drop_foreign()
    assert tier.contains([key(1), key(2), key(3)]) == [False, False, True]
    assert len(files(tmp_path)) == 1


def test_an_unfinished_write_is_cleaned_up_and_never_read(tmp_path: Path) -> None:
    put(disk(tmp_path), 1)
    whole = files(tmp_path)[0]
    unfinished = whole.with_suffix(".123.part")
    whole.rename(unfinished)
    again = disk(tmp_path)
    assert again.get_many([key(1)]) == {}
    assert not unfinished.exists()


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    put(disk(tmp_path), 1)
    notes, odd = tmp_path / "README.txt", tmp_path / "not-hex.kv"
    notes.write_text("hello")
    odd.write_text("hello")
    assert disk(tmp_path, 0).num_blocks == 0
    assert notes.exists()
    assert odd.exists()


def test_only_the_owner_may_read(tmp_path: Path) -> None:
    """K and V give the conversation away."""
    put(disk(tmp_path / "blocks"), 1)
    path = files(tmp_path)[0]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_vanished_is_a_miss(tmp_path: Path) -> None:
    tier = disk(tmp_path)
    put(tier, 1, 2)
    files(tmp_path)[0].unlink()
    assert tier.get_many([key(1), key(2)]) == {key(2): b"\2" * 100}
    assert tier.contains([key(1)]) == [False]
    assert tier.num_blocks == 1


def test_links_are_not_followed(tmp_path: Path) -> None:
    tier = disk(tmp_path / "blocks")
    put(tier, 1)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    path = files(tmp_path)[0]
    path.unlink()
    path.symlink_to(secret)
    assert tier.get_many([key(1)]) == {}
    path.symlink_to(secret)
    assert disk(tmp_path / "blocks").num_blocks == 0
    put(tier, 1)
    assert secret.read_bytes() == b"secret"


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    tier = disk(tmp_path / "blocks")
    put(tier, 1)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    path = files(tmp_path)[0]
    path.with_suffix(f".{threading.get_ident()}.part").symlink_to(secret)
    with pytest.raises(TierUnavailable):
        put(tier, 1)
    assert secret.read_bytes() == b"secret"


def test_one_bad_file_does_not_switch_the_tier_off(tmp_path: Path) -> None:
    tally = Tally()
    tier = disk(tmp_path)
    guarded = GuardedTier(tier, tally)
    put(guarded, 1, 2, 3)
    link, folder, _ = files(tmp_path)
    for path in (link, folder):
        path.unlink()
    link.symlink_to(tmp_path / "nothing")
    folder.mkdir()
    assert guarded.get_many([key(1), key(2), key(3)]) == {key(3): b"\3" * 100}
    assert guarded.available
    assert tally.failures == []
    assert disk(tmp_path).num_blocks == 1


def test_a_disk_that_fails_switches_the_tier_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    guarded = GuardedTier(disk(tmp_path), tally)
    put(guarded, 1)

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(os, "open", fail)
        assert guarded.get_many([key(1)]) == {}
    assert tally.failures == ["disk"]


def test_a_full_disk_takes_nothing_new_and_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    tier = disk(tmp_path)
    guarded = GuardedTier(tier, tally, pause_seconds=60)
    put(guarded, 1)

    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "open", no_space)
        put(guarded, 2)
    assert tally.failures == ["disk"]
    assert guarded.available
    assert not guarded.writable
    put(guarded, 3)
    assert guarded.get_many([key(1)]) == {key(1): b"\1" * 100}
    assert tally.failures == ["disk"]
    assert files(tmp_path, ".part") == []
    assert tier.contains([key(1), key(2), key(3)]) == [True, False, False]


class DiskOf(Room):
    """Of so many bytes, of which files of blocks take theirs and others `taken`."""

    def __init__(self, folder: Path, num_bytes: int, reserve_bytes: int) -> None:
        super().__init__(folder, reserve_bytes)
        self.taken, self._num_bytes, self._root = 0, num_bytes, folder

    @property
    def free_bytes(self) -> int:
        return self._num_bytes - self.taken - sum(path.stat().st_size for path in files(self._root))


def test_state_takes_nothing_of_the_reserve(tmp_path: Path) -> None:
    room = DiskOf(tmp_path, 1_000, reserve_bytes=350)
    tier = DiskTier(tmp_path, DIGEST, 2**20, room)
    put(tier, *range(10))
    assert tier.contains([key(number) for number in range(10)]) == [False] * 4 + [True] * 6
    assert room.free_bytes == 400
    assert [tier.evicted(key(number)) for number in (3, 4)] == [True, False]
    room.taken = 650
    with pytest.raises(TierFull, match="not for state"):
        put(tier, 11)
    assert tier.num_blocks == 0


def test_state_gives_way_oldest_first(tmp_path: Path) -> None:
    tier = disk(tmp_path)
    put(tier, 1, 2, 3)
    tier.used([key(1)])
    assert tier.give_way(150) == 200
    assert tier.contains([key(1), key(2), key(3)]) == [True, False, False]
    assert len(files(tmp_path)) == 1
    assert tier.give_way(10**6) == 100
    assert tier.give_way(1) == 0


def test_what_is_to_leave_first_does_so_after_a_restart_too(tmp_path: Path) -> None:
    put(disk(tmp_path), 1, 2, 3, 4)
    disk(tmp_path).leave_first([key(3), key(4)])
    tier = disk(tmp_path)
    assert (tier.give_way(1), tier.evicted(key(4))) == (100, True)
    assert (tier.give_way(1), tier.evicted(key(3))) == (100, True)


def test_before_there_is_a_tier_the_oldest_files_give_way(tmp_path: Path) -> None:
    put(disk(tmp_path), 1, 2, 3)
    (tmp_path / "notes.txt").write_text("not ours")
    for age, path in enumerate(files(tmp_path)):
        os.utime(path, ns=(age * 10**9, age * 10**9))
    remove_oldest(tmp_path, 150)
    assert disk(tmp_path).contains([key(1), key(2), key(3)]) == [False, False, True]
    assert (tmp_path / "notes.txt").exists()


def test_a_folder_that_cannot_be_made_for_want_of_room_is_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "mkdir", no_space)
        tier = disk(tmp_path / "state")
    put(tier, 1)
    assert tier.contains([key(1)]) == [True]


def test_a_write_cut_short_leaves_no_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tier = disk(tmp_path)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(Path, "replace", fail)
        with pytest.raises(TierUnavailable, match="Input/output error"):
            put(tier, 1)
    assert files(tmp_path) == []
    assert files(tmp_path, ".part") == []
    assert disk(tmp_path).num_blocks == 0


def test_a_folder_that_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TierUnavailable):
        disk(tmp_path / "file")
