"""Promise 1 across machines: what one server computed goes on at another, which has nothing of it but a Redis."""

import asyncio
import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import xxhash
from pydantic import SecretStr
from tests.support.engines import collect, greedy, running_engine
from tests.support.models import TinyModels
from tests.support.redis_server import RedisServer
from tests.support.reference import Reference, Turn, random_ids

from warmturn_server.engine import Engine
from warmturn_server.engine_api import Generated, MissReason
from warmturn_server.engine_api.lookback import LookbackRequest
from warmturn_server.kvcache import LEDGER_NAME, BlockKey, Envelope, FingerprintDigest

PATIENT = {"redis_wait_ms": 60_000.0}
"""The machine that runs the tests may be busy; how long a turn really waits is tested elsewhere."""

StartServer = Callable[..., Engine]


@pytest.fixture(scope="module")
def reference(tiny_models: TinyModels) -> Reference:
    return Reference(tiny_models())


@pytest.fixture(scope="module")
def turns(reference: Reference) -> list[Turn]:
    return reference.conversation(4, seed=31, user_tokens=30, reply_tokens=9)


@pytest.fixture
def start(tiny_models: TinyModels, tmp_path: Path, redis_server: RedisServer) -> Iterator[StartServer]:
    """`start("a", kv_codec="zstd")`: a server's engine with a data folder of its own, on the shared Redis."""
    with ExitStack() as engines:

        def start(name: str, **settings: object) -> Engine:
            chosen: dict[str, object] = {"redis": SecretStr(redis_server.url), **PATIENT, **settings}
            return engines.enter_context(running_engine(tiny_models(), tmp_path / name, **chosen))

        yield start


def ask(engine: Engine, turns: list[Turn], number: int) -> Generated:
    known = len(turns[number - 1].token_ids) - 1 if number else 0
    answer = engine.generate(greedy(turns[number].prompt, 9, known_tokens=known))
    assert answer.token_ids == turns[number].reply
    engine.flush()
    return answer


@pytest.mark.usefixtures("restoring_always_wins")
@pytest.mark.parametrize("kv_codec", ["none", "zstd"])
def test_a_conversation_goes_on_at_another_server_from_the_very_last_token(
    start: StartServer, turns: list[Turn], kv_codec: str
) -> None:
    one, other = start("one", kv_codec=kv_codec), start("other", kv_codec=kv_codec)
    ask(one, turns, 0)
    for number, engine in enumerate((other, one, other), start=1):
        answer = ask(engine, turns, number)
        known = len(turns[number - 1].token_ids) - 1
        assert answer.report.cached_tokens >= known
        assert answer.report.cached_by_tier["redis"] > 0
        assert answer.report.miss is None


@pytest.mark.usefixtures("restoring_always_wins")
def test_what_came_over_the_network_is_here_the_next_time(start: StartServer, turns: list[Turn]) -> None:
    one, other = start("one"), start("other")
    ask(one, turns, 0)
    ask(other, turns, 1)
    other.evict_idle()
    report = ask(other, turns, 2).report
    assert (report.cached_by_tier["redis"], report.cached_by_tier["ram"]) == (0, len(turns[1].token_ids) - 1)


@pytest.mark.usefixtures("restoring_always_wins")
def test_servers_with_other_secrets_share_nothing_and_harm_nothing(start: StartServer, turns: list[Turn]) -> None:
    one, other = (start(name, redis_secret=SecretStr(name)) for name in ("one", "other"))
    ask(one, turns, 0)
    miss = ask(other, turns, 1).report.miss
    assert miss is not None
    assert (miss.at_token, miss.reason) == (0, MissReason.NOT_FOUND)
    third = start("third", redis_secret=SecretStr("one"))
    assert ask(third, turns, 1).report.cached_by_tier["redis"] > 0


def test_what_the_operator_sees(start: StartServer) -> None:
    tiers = start("one", kv_codec="zstd", redis_secret=SecretStr("s")).stats()["tiers"]
    assert isinstance(tiers, dict)
    seen = {name: tiers["redis"][name] for name in ("bytes", "budget_bytes", "blocks", "authenticated", "codec")}
    assert seen == {"bytes": None, "budget_bytes": None, "blocks": None, "authenticated": True, "codec": "zstd"}


Attack = Callable[[dict[bytes, bytes]], dict[bytes, bytes]]


def flip(values: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """One bit each, in places that differ."""
    places = {key: 7919 * number % len(value) for number, (key, value) in enumerate(values.items())}
    return {k: v[: places[k]] + bytes([v[places[k]] ^ 4]) + v[places[k] + 1 :] for k, v in values.items()}


def swap(values: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Every key with its neighbour's value."""
    return dict(zip(values, [*list(values.values())[1:], next(iter(values.values()))], strict=True))


def sign_again(values: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Other numbers under a sound checksum, signed by somebody who knows the model, the key, and all but the secret."""
    forged = {}
    for name, value in values.items():
        key = BlockKey(bytes.fromhex(name.rsplit(b":", 1)[1].decode()))
        block = bytearray(value[OPENED])
        block[-80:-16] = bytes(64)
        block[-16:] = xxhash.xxh3_128_digest(bytes(block[:-16]))
        forged[name] = bytes(Envelope(FingerprintDigest(bytes(32))).close(key, 0, len(block), block))
    return forged


def cut(values: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {key: value[: len(value) // 2] for key, value in values.items()}


def swell(values: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {key: value + bytes(2**22) for key, value in values.items()}


OPENED = slice(13, -32)
"""The body of a value: after the header, before the tag."""


@pytest.mark.usefixtures("restoring_always_wins")
@pytest.mark.parametrize("attack", [flip, swap, sign_again, cut, swell])
@pytest.mark.parametrize("kv_codec", ["none", "zstd"])
def test_whoever_writes_to_redis_cannot_make_a_server_say_anything_else(
    start: StartServer, redis_server: RedisServer, turns: list[Turn], attack: Attack, kv_codec: str
) -> None:
    secret = {"redis_secret": SecretStr("theirs alone"), "kv_codec": kv_codec}
    ask(start("one", **secret), turns, 0)
    with redis_server.client() as attacker:
        names = sorted(attacker.scan_iter("warmturn:kv:*"))
        values = {name: attacker.get(name) for name in names}
        assert len(values) >= 4
        attacker.mset(attack(values))
    report = ask(start("other", **secret), turns, 1).report
    assert (report.cached_by_tier["redis"], report.cached_tokens) == (0, 0)
    assert report.miss is not None
    assert (report.miss.reason, report.miss.tier) == (MissReason.CORRUPT, "redis")


@pytest.mark.usefixtures("restoring_always_wins")
def test_values_of_another_kind_are_no_state(start: StartServer, redis_server: RedisServer, turns: list[Turn]) -> None:
    ask(start("one"), turns, 0)
    with redis_server.client() as attacker:
        for name in list(attacker.scan_iter("warmturn:kv:*")):
            attacker.delete(name)
            attacker.rpush(name, "a", "list")
    assert ask(start("other"), turns, 1).report.cached_tokens == 0


@pytest.mark.usefixtures("restoring_always_wins")
def test_state_in_eight_bits_is_never_met_by_whoever_did_not_ask_for_it(
    start: StartServer, redis_server: RedisServer, turns: list[Turn], tmp_path: Path
) -> None:
    """Neither over Redis nor in a data folder that was used with the other setting before."""
    rounded = start("folder", kv_codec="int8")
    rounded.generate(greedy(turns[0].prompt, 9))
    rounded.flush()
    other = start("other", kv_codec="int8")
    assert other.generate(greedy(turns[1].prompt, 9)).report.cached_by_tier["redis"] > 0
    rounded.close()
    exact = start("folder")
    assert ask(exact, turns, 1).report.cached_tokens == 0
    with redis_server.client() as client:
        namespaces = {name.split(b":")[2] for name in client.scan_iter("warmturn:kv:*")}
    assert len(namespaces) == 2
    folders = {path.name for path in (tmp_path / "folder" / "kv").iterdir()} - {LEDGER_NAME}
    assert len(folders) == 2


@pytest.mark.usefixtures("restoring_always_wins")
def test_what_is_warmed_comes_from_redis_before_its_turn(start: StartServer, turns: list[Turn]) -> None:
    one, other = start("one"), start("other")
    ask(one, turns, 0)
    known = turns[0].token_ids[:-1]
    asked = asyncio.run(asyncio.wait_for(other.prefetch("", known), 30))
    assert asked is not None
    assert asked.tokens_by_tier["redis"] == len(known)
    while (again := asyncio.run(asyncio.wait_for(other.prefetch("", known), 30))) is None or again.status != "warm":
        time.sleep(0.01)
    report = ask(other, turns, 1).report
    assert (report.cached_by_tier["ram"], report.cached_by_tier["redis"]) == (len(known), 0)


def test_others_go_on_while_one_waits_for_a_redis_that_does_not_answer(
    start: StartServer, redis_server: RedisServer, turns: list[Turn]
) -> None:
    """And whoever watches the server gets an answer."""
    engine = start("one")

    async def wait_beside() -> tuple[int, Generated]:
        decoding = engine.submit(greedy(random_ids(random.Random(1), 20), 1500))
        await anext(decoding)
        redis_server.pause()
        waiting = asyncio.create_task(collect(engine, greedy(turns[1].prompt, 9, known_tokens=len(turns[1].prompt))))
        meanwhile = 0
        while not waiting.done() and meanwhile < 1000:
            await anext(decoding)
            meanwhile += 1
            engine.stats()
        decoding.cancel()
        return meanwhile, await waiting

    meanwhile, answer = asyncio.run(wait_beside())
    redis_server.resume()
    assert answer.token_ids == turns[1].reply
    assert answer.report.miss is not None
    assert answer.report.miss.reason is MissReason.STORE_UNAVAILABLE
    assert meanwhile > 30, f"only {meanwhile} tokens while somebody waited for {answer.report.restore_ms:.0f} ms"


@pytest.mark.usefixtures("restoring_always_wins")
def test_a_look_back_at_another_server_computes_what_it_has_to_see(start: StartServer, turns: list[Turn]) -> None:
    """State of the reply's own tokens is in Redis too; restored, they would not look at anything."""
    one, other = start("one"), start("other")
    prompt = turns[1].prompt
    asked = LookbackRequest(groups=(1,) * len(prompt), num_groups=2)
    said = one.generate(dataclasses.replace(greedy(prompt, 9), lookback=asked))
    one.flush()
    again = dataclasses.replace(asked, recomputes_reply=True)
    replay = dataclasses.replace(greedy((*prompt, *said.token_ids[:-1]), 1), lookback=again)
    seen = other.generate(replay)
    assert 0 < seen.report.cached_by_tier["redis"] <= len(prompt) - 1
    assert said.lookback is not None
    assert seen.lookback is not None
    assert [look.position for look in seen.lookback.looks] == [look.position for look in said.lookback.looks]
