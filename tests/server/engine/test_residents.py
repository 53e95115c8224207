"""Idle buffers, as others see them than the engine's thread."""

import numpy as np
import pytest
from tests.support.device import DEVICE
from tests.support.state import LAYOUT

from warmturn_server.engine.residents import Resident, Residents
from warmturn_server.kvcache import KVBuffer


def test_the_bytes_can_be_asked_for_while_buffers_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `/metrics` does; here the change comes at the worst moment, in the middle of the sum."""
    residents = Residents(2**30)
    for number in range(3):
        ids = np.asarray([number], dtype=np.int64)
        residents.keep(Resident("", ids, KVBuffer(LAYOUT, DEVICE, 64)))
    whole = residents.idle_bytes

    def size_and_clear(buffer: KVBuffer) -> int:
        residents.clear()
        return buffer.capacity * LAYOUT.bytes_per_token

    monkeypatch.setattr(KVBuffer, "num_bytes", property(size_and_clear))
    assert residents.idle_bytes == whole > 0
    assert residents.idle_bytes == 0


HELD = (("b", (1, 2, 3, 4)), ("a", (1, 2, 3, 4, 5)), ("a", (1, 2, 8)), ("a", (1, 2, 3)), ("a", (1, 2)), ("a", (7,)))


@pytest.fixture
def residents() -> Residents:
    """The longer ones first: one that goes on from another takes its place."""
    residents = Residents(2**30)
    for tenant, ids in HELD:
        residents.keep(Resident(tenant, np.asarray(ids, dtype=np.int64), KVBuffer(LAYOUT, DEVICE, 64)))
    return residents


def held(residents: Residents) -> set[tuple[str, tuple[int, ...]]]:
    return {(resident.tenant, tuple(resident.token_ids.tolist())) for resident in residents._idle.values()}


def test_what_is_forgotten_goes_with_all_that_goes_on_from_it(residents: Residents) -> None:
    residents.forget("a", (1, 2, 3, 4))
    assert held(residents) == {HELD[0], HELD[2], HELD[5]}


def test_what_others_share_is_not_forgotten(residents: Residents) -> None:
    residents.forget("a", (1, 2, 3, 4), keep_tokens=2)
    assert held(residents) == {HELD[0], HELD[2], HELD[4], HELD[5]}


def test_all_that_may_rest_on_bad_state_is_dropped_and_named(residents: Residents) -> None:
    dropped = residents.drop_related("a", (1, 2, 3, 4))
    assert [("a", tuple(ids.tolist())) for ids in dropped] == list(HELD[1:5])
    assert held(residents) == {HELD[0], HELD[5]}
