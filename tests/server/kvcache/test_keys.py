"""The chain of block keys: the same in every process, different for everything that matters."""

import os
import subprocess
import sys

import pytest
from tests.support.state import token_ids

from warmturn_server.kvcache.keys import blocks_of, chain_seed, full_blocks, next_key, partial_blocks, reusable_tokens

FINGERPRINT = bytes(range(32))
GOLDEN = "eba171093e40cf8338bb777ee20a195af6d10f36f62e41e166e934a9923f055c"


def last_key(tenant: str, fingerprint: bytes, ids: tuple[int, ...], block_size: int = 4) -> str:
    return blocks_of(chain_seed(tenant, fingerprint), ids, block_size)[-1].key.hex()


def test_a_key_never_changes() -> None:
    """Files written by an older version are found again; a new value here needs a new FORMAT_VERSION."""
    assert last_key("anna", FINGERPRINT, token_ids(10)) == GOLDEN


@pytest.mark.slow
def test_keys_are_the_same_in_another_process() -> None:
    program = (
        "from warmturn_server.kvcache.keys import blocks_of, chain_seed;"
        "print(blocks_of(chain_seed('anna', bytes(range(32))), list(range(100, 110)), 4)[-1].key.hex())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.strip() == GOLDEN


@pytest.mark.parametrize(
    "other",
    [
        last_key("bob", FINGERPRINT, token_ids(10)),
        last_key("", FINGERPRINT, token_ids(10)),
        last_key("anna", bytes(32), token_ids(10)),
        last_key("anna", FINGERPRINT, (*token_ids(9), 7)),
        last_key("anna", FINGERPRINT, (7, *token_ids(10)[1:])),
        last_key("anna", FINGERPRINT, token_ids(9)),
        last_key("anna", FINGERPRINT, token_ids(10), block_size=5),
    ],
    ids=["tenant", "no tenant", "fingerprint", "last id", "first id", "length", "block size"],
)
def test_whatever_differs_gives_another_key(other: str) -> None:
    assert other != GOLDEN


def test_ids_beyond_a_byte_are_told_apart() -> None:
    seed = chain_seed("", FINGERPRINT)
    assert next_key(seed, [1, 256]) != next_key(seed, [257, 0])


@pytest.mark.parametrize("num_tokens", range(14))
def test_blocks_cover_every_token_once(num_tokens: int) -> None:
    spans = blocks_of(chain_seed("", FINGERPRINT), token_ids(num_tokens), 4)
    covered = [token for span in spans for token in range(span.start, span.stop)]
    assert covered == list(range(num_tokens))
    assert [span.num_tokens for span in spans[:-1]] == [4] * (len(spans) - 1)


def test_a_longer_sequence_keeps_the_keys_of_its_prefix() -> None:
    seed = chain_seed("", FINGERPRINT)
    short, long = (list(full_blocks(seed, token_ids(count), 4)) for count in (9, 17))
    assert long[: len(short)] == short


def test_partial_blocks_come_longest_first_and_are_never_whole() -> None:
    seed = chain_seed("", FINGERPRINT)
    assert [span.num_tokens for span in partial_blocks(seed, token_ids(9), 4, 4)] == [3, 2, 1]
    assert [span.num_tokens for span in partial_blocks(seed, token_ids(6), 4, 4)] == [2, 1]
    assert list(partial_blocks(seed, token_ids(4), 4, 4)) == []


@pytest.mark.parametrize(("num_tokens", "reusable"), [(0, 0), (1, 0), (2, 1), (9, 8)])
def test_the_last_token_is_always_computed(num_tokens: int, reusable: int) -> None:
    assert reusable_tokens(num_tokens) == reusable
