"""A value is what this deployment stored under this very key, or it is nothing."""

import random

import pytest
from tests.support.state import DIGEST

from warmturn_server.kvcache import BlockKey, CorruptBlock, Envelope

KEY, OTHER = BlockKey(bytes(32)), BlockKey(bytes(31) + b"\1")
ENVELOPE = Envelope(DIGEST, b"secret")
BODY = bytes(range(200))


def value(envelope: Envelope = ENVELOPE) -> bytearray:
    return envelope.close(KEY, 1, 500, BODY)


def opens(value: bytes | bytearray, key: BlockKey = KEY, envelope: Envelope = ENVELOPE) -> bool:
    try:
        opened = envelope.open(key, bytes(value))
    except CorruptBlock:
        return False
    assert (opened.compression, opened.raw_bytes, bytes(opened.body)) == (1, 500, BODY)
    return True


def test_what_was_closed_opens() -> None:
    assert opens(value())


def test_every_flipped_bit_is_found() -> None:
    whole = value()
    for position in range(len(whole)):
        for bit in range(8):
            whole[position] ^= 1 << bit
            assert not opens(whole)
            whole[position] ^= 1 << bit


def test_every_cut_and_every_splice_is_found() -> None:
    whole, other = value(), ENVELOPE.close(KEY, 1, 500, BODY[::-1])
    for cut in range(len(whole)):
        assert not opens(whole[:cut])
        assert whole[:cut] + other[cut:] == other or not opens(whole[:cut] + other[cut:])
    assert not opens(whole + b"\0")


@pytest.mark.parametrize("envelope", [Envelope(DIGEST), Envelope(DIGEST, b"other"), Envelope(DIGEST[::-1], b"secret")])  # type: ignore[arg-type]
def test_another_secret_or_model_signs_otherwise_and_lives_elsewhere(envelope: Envelope) -> None:
    assert not opens(value(envelope))
    assert not opens(value(), envelope=envelope)
    assert envelope.namespace != ENVELOPE.namespace


def test_a_value_belongs_to_its_key() -> None:
    assert not opens(value(), OTHER)


def test_noise_is_nothing() -> None:
    chance = random.Random(0)
    assert not any(opens(chance.randbytes(chance.randrange(400))) for _ in range(2000))


def test_only_a_secret_authenticates() -> None:
    assert (ENVELOPE.authenticated, Envelope(DIGEST).authenticated) == (True, False)
    assert opens(Envelope(DIGEST).close(KEY, 1, 500, BODY), envelope=Envelope(DIGEST)), (
        "two servers without one understand each other"
    )
