"""What the log does on a full disk: state gives way, and what could not be written is written again."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Concatenate, Final, ParamSpec, Protocol, TypeVar

from ....room import Room
from ..store import StoreFull

LEAST_ROOM_BYTES: Final = 2**19
"""What the log may need for a turn beside its words: whole pages, twice, in several indexes."""


class InARoom(Protocol):
    room: Room


_Log = TypeVar("_Log", bound=InARoom)
_P = ParamSpec("_P")
_T = TypeVar("_T")
_Write = Callable[Concatenate[_Log, _P], _T]


def state_gives_way(write: _Write[_Log, _P, _T]) -> _Write[_Log, _P, _T]:
    """For every change."""
    return _tried_again(write, lambda room: room.give_way(max(room.reserve_bytes, LEAST_ROOM_BYTES)))


def held_room_is_used(write: _Write[_Log, _P, _T]) -> _Write[_Log, _P, _T]:
    """For changes that make room."""
    return _tried_again(write, Room.let_go)


def _tried_again(write: _Write[_Log, _P, _T], make_room: Callable[[Room], object]) -> _Write[_Log, _P, _T]:
    """Once more when room was made: what failed for want of it has changed nothing."""

    def written(self: _Log, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return write(self, *args, **kwargs)
        except StoreFull:
            make_room(self.room)
        return write(self, *args, **kwargs)

    update_wrapper(written, write)
    return written
