"""A sequence's own K and V."""

import resource
import sys

import pytest
import torch
from tests.support.device import DEVICE
from tests.support.state import LAYOUT, contents, filled_buffer

from warmturn_server.kvcache import KVBuffer, KVLayout, LayerShape


def test_growing_keeps_every_bit() -> None:
    buffer = filled_buffer(50)
    before = contents(buffer)
    for capacity in (51, 200, 1000):
        buffer.reserve(capacity)
        assert buffer.capacity >= capacity
        assert contents(buffer) == before


@pytest.mark.skipif(sys.platform != "linux" or DEVICE.type != "cpu", reason="of Linux, for its own memory")
def test_what_is_populated_takes_no_more_asking_and_keeps_its_bits() -> None:
    buffer = KVBuffer(LAYOUT, DEVICE, 2**25 // LAYOUT.bytes_per_token)
    key, value = buffer.layer(0)
    key[:, :100], value[:, :100] = 1.0, 2.0
    buffer.populate()
    assert (key[:, :100] == 1.0).all()
    assert (value[:, :100] == 2.0).all()
    before = faults()
    key.fill_(3.0)
    value.fill_(3.0)
    assert faults() - before < 50


def faults() -> int:
    """How often this thread has written where the system had given it no memory so far."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


def test_growth_is_geometric_so_copies_stay_rare() -> None:
    buffer, capacities = KVBuffer(LAYOUT, DEVICE), set()
    for num_tokens in range(1, 4096):
        buffer.reserve(num_tokens)
        capacities.add(buffer.capacity)
    assert len(capacities) < 20
    assert buffer.num_bytes == buffer.capacity * LAYOUT.bytes_per_token == LAYOUT.bytes_for(buffer.capacity)


def test_layers_do_not_overlap() -> None:
    layout = KVLayout.of([LayerShape(2, 4, 4), LayerShape(1, 6, 2), LayerShape(3, 2, 6)], torch.float32)
    buffer = KVBuffer(layout, DEVICE, 3)
    parts = [part for layer in range(3) for part in buffer.layer(layer)]
    for number, part in enumerate(parts):
        part.fill_(float(number))
    assert [set(part.flatten().tolist()) for part in parts] == [{float(number)} for number in range(6)]
    assert [tuple(part.shape[::2]) for part in parts] == [(2, 4), (2, 4), (1, 6), (1, 2), (3, 2), (3, 6)]


def test_bytes_per_token_counts_every_layer() -> None:
    assert LAYOUT.bytes_per_token == (2 * 4 + 2 * 4 + 6 + 2) * 4


def test_a_snapshot_does_not_change_while_the_sequence_goes_on() -> None:
    buffer = filled_buffer(5)
    snapshot, size = buffer.snapshot(), 5 * LAYOUT.bytes_per_token
    before, after = bytearray(size), bytearray(size)
    snapshot.read_into(0, 5, memoryview(before))
    for num_tokens in range(6, 300):
        buffer.reserve(num_tokens)
        for layer in range(2):
            for part in buffer.layer(layer):
                part[:, num_tokens - 1] = 7.0
        buffer.length = num_tokens
    snapshot.read_into(0, 5, memoryview(after))
    assert after == before


def test_a_forks_copy_is_its_own() -> None:
    source = filled_buffer(10)
    before = contents(source)
    fork = KVBuffer(LAYOUT, DEVICE)
    fork.copy_prefix(source, 6)
    assert fork.length == 6
    assert contents(fork) == contents(source, 0, 6)
    fork.layer(0)[0][:, :6] = 0.0
    assert contents(source) == before


@pytest.mark.parametrize("cut", range(1, 8))
def test_written_in_pieces_or_at_once_is_the_same(cut: int) -> None:
    source, target = filled_buffer(8), KVBuffer(LAYOUT, DEVICE, 8)
    for start, stop in ((0, cut), (cut, 8)):
        payload = bytearray((stop - start) * LAYOUT.bytes_per_token)
        source.snapshot().read_into(start, stop, memoryview(payload))
        target.write(start, stop - start, memoryview(payload))
    target.length = 8
    assert contents(target) == contents(source)


def test_it_may_be_cut_anywhere_and_cleared() -> None:
    buffer = filled_buffer(8)
    assert [buffer.restore_points(length) for length in range(9)] == list(range(9))
    buffer.clear()
    assert buffer.length == 0
    assert buffer.capacity >= 8
