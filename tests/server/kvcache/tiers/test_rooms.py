"""Memory that is lent again, and never while somebody has it."""

import random

from warmturn_server.kvcache.tiers.rooms import Rooms


def address(room: memoryview) -> int:
    return id(room.obj.base)  # type: ignore[attr-defined]


def test_a_room_comes_back_when_nobody_has_any_of_it() -> None:
    rooms = Rooms()
    room = rooms.take(1000)
    first, part = address(room), room[100:200]
    del room
    assert address(rooms.take(1000)) != first
    del part
    assert first in {address(rooms.take(1000)) for _ in range(2)}


def test_one_of_another_size_is_new() -> None:
    rooms = Rooms()
    rooms.take(1000)
    assert [len(rooms.take(size)) for size in (1000, 999, 1000, 0, 1)] == [1000, 999, 1000, 0, 1]


def test_what_is_held_stays_as_it_is() -> None:
    chance, rooms = random.Random(1), Rooms()
    held: list[tuple[bytes, memoryview]] = []
    for _ in range(300):
        room = rooms.take(64)
        room[:] = content = chance.randbytes(64)
        held.append((content, room))
        del room
        if chance.random() < 0.5:
            del held[chance.randrange(len(held))]
        assert all(room == content for content, room in held)


def test_few_are_kept() -> None:
    rooms = Rooms()
    held = [rooms.take(10) for _ in range(100)]
    del held
    assert len(rooms._free) == 8
