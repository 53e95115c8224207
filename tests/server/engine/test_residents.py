"""Idle buffers, as others see them than the engine's thread."""

import numpy as np
import pytest
import torch
from tests.support.state import LAYOUT

from warmturn_server.engine.residents import Resident, Residents
from warmturn_server.kvcache import KVBuffer


def test_the_bytes_can_be_asked_for_while_buffers_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `/metrics` does; here the change comes at the worst moment, in the middle of the sum."""
    residents = Residents(2**30)
    for number in range(3):
        ids = np.asarray([number], dtype=np.int64)
        residents.keep(Resident("", ids, KVBuffer(LAYOUT, torch.device("cpu"), 64)))
    whole = residents.idle_bytes

    def size_and_clear(buffer: KVBuffer) -> int:
        residents.clear()
        return buffer.capacity * LAYOUT.bytes_per_token

    monkeypatch.setattr(KVBuffer, "num_bytes", property(size_and_clear))
    assert residents.idle_bytes == whole > 0
    assert residents.idle_bytes == 0
