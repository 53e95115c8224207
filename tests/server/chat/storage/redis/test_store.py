"""What is particular to the log in Redis."""

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from tests.server.chat.making import append, conversation, findable, record, turn
from tests.support.redis_server import DURABLE, RedisServer

from warmturn_server.chat import (
    Append,
    ConversationId,
    Page,
    Storage,
    StoreCorrupt,
    StoreFailed,
    TurnId,
    open_shared_storage,
)
from warmturn_server.chat.storage.redis.durability import Durability
from warmturn_server.chat.storage.redis.scripts import ScriptRunner, prefix
from warmturn_server.chat.storage.redis.store import RedisStore
from warmturn_server.chat.storage.redis.values import Signer
from warmturn_server.errors import StartRefused

C = ConversationId("conv_1")


@pytest.fixture
def storage(log_redis: RedisServer) -> Iterator[Storage]:
    storage = open_shared_storage(log_redis.url, b"secret")
    yield storage
    storage.locks.close()
    storage.store.close()


@pytest.fixture
def raw(log_redis: RedisServer) -> Iterator[redis.Redis]:
    """What anybody can do who may write to that Redis."""
    with log_redis.client() as client:
        yield client


def key(kind: str, name: str) -> str:
    return f"{prefix('')}{kind}:{name}"


class LosesReplies(ScriptRunner):
    """Redis carries out each script, and the connection breaks before its answer arrives; the second try succeeds."""

    losing = True

    def _exchange(self, *arguments: object) -> object:
        reply = super()._exchange(*arguments)  # type: ignore[arg-type]
        if self.losing and not isinstance(reply, Exception):
            self.losing = False
            raise redis.ConnectionError("cut")
        return reply


class TestALostReply:
    @pytest.fixture
    def store(self, raw: redis.Redis) -> RedisStore:
        self.runner = LosesReplies(raw)
        return RedisStore(self.runner, Signer())

    def test_of_an_append(self, store: RedisStore) -> None:
        store.create(conversation(C))
        self.runner.losing = True
        store.append(append(turn("a", conversation=C), record("a", "abc")))
        kept = store.conversation("", C)
        assert kept and (kept.head, kept.version) == ("a", 1)

    def test_of_a_creation_with_items(self, store: RedisStore) -> None:
        store.create(conversation(C), append(turn("a", conversation=C)))
        kept = store.conversation("", C)
        assert kept and (kept.head, kept.version) == ("a", 1)
        assert len(store.conversations("", Page())) == 1

    def test_of_a_hidden_item(self, store: RedisStore) -> None:
        store.create(conversation(C))
        assert store.conversation("", C)
        for version in range(2):
            self.runner.losing = True
            store.hide_item("", C, turn("a").input[0].id, version)
        kept = store.conversation("", C)
        assert kept and (kept.version, len(kept.hidden)) == (2, 2)

    def test_of_a_deletion_still_tells_what_is_to_be_forgotten(self, store: RedisStore) -> None:
        store.create(conversation(C))
        store.append(append(turn("a", conversation=C), record("a", "abc")))
        self.runner.losing = True
        assert [entry.record.text for entry in store.delete_conversation("", C)] == ["abc"]
        store.append(append(turn("b"), record("b", "def")))
        self.runner.losing = True
        assert [entry.record.text for entry in store.withdraw("", TurnId("b"))] == ["def"]


def test_what_was_given_up_is_not_written_afterwards(raw: redis.Redis) -> None:
    """A Redis that slept through it finds the script in its queue when it wakes."""
    sent: list[list[object]] = []

    class Sleeps(ScriptRunner):
        def _exchange(self, node: redis.Redis, command: list[object], sync: bool) -> object:  # type: ignore[override]
            del node, sync
            sent.append(command)
            raise redis.TimeoutError("asleep")

    awake = RedisStore(ScriptRunner(raw), Signer())
    awake.append(append(turn("before")))
    store = RedisStore(Sleeps(raw, deadline_seconds=0.2), Signer())
    with pytest.raises(StoreFailed) as failure:
        store.append(append(turn("a")))
    assert failure.value.status == 503
    assert raw.execute_command(*sent[-1])[0] == b"late"  # type: ignore[no-untyped-call]
    assert awake.turn("", TurnId("a")) is None


class TestSomebodyElseWritesToRedis:
    @pytest.fixture(autouse=True)
    def _talk(self, storage: Storage) -> None:
        storage.store.create(conversation(C))
        storage.store.append(append(turn("a", conversation=C), record("a", "abc")))
        storage.store.append(append(turn("b", "a", conversation=C), record("b", "de", base="a", kept=3), version=1))

    @pytest.mark.parametrize(
        ("place", "field"),
        [("conversation", "head"), ("conversation", "hidden"), ("turn", "value"), ("record", "value")],
    )
    def test_changed_words_are_not_believed(self, storage: Storage, raw: redis.Redis, place: str, field: str) -> None:
        name = C if place == "conversation" else "a"
        value = raw.hget(key(place, name), field)
        assert isinstance(value, bytes)
        raw.hset(key(place, name), field, value[:-3] + bytes([value[-3] ^ 1]) + value[-2:])
        with pytest.raises(StoreCorrupt) as failure:
            storage.store.open_conversation("", C)
        assert failure.value.status == 503

    def test_a_signature_under_another_secret_is_none(self, storage: Storage, raw: redis.Redis) -> None:
        forged = RedisStore(ScriptRunner(raw), Signer(b"guess"))
        forged.append(append(turn("c", "b", conversation=C), version=2))
        with pytest.raises(StoreCorrupt):
            storage.store.open_conversation("", C)

    def test_signed_values_count_only_where_they_were_signed_for(self, storage: Storage, raw: redis.Redis) -> None:
        raw.copy(key("turn", "a"), key("turn", "b"), replace=True)
        with pytest.raises(StoreCorrupt):
            storage.store.turn("", TurnId("b"))

    def test_turns_in_another_order_are_noticed(self, storage: Storage, raw: redis.Redis) -> None:
        raw.hset(key("turn", "b"), "parent", "")
        with pytest.raises(StoreCorrupt):
            storage.store.open_conversation("", C)

    @pytest.mark.parametrize("at", ["a", "", "gone"])
    def test_the_last_turns_cannot_be_cut_off(self, storage: Storage, raw: redis.Redis, at: str) -> None:
        raw.hset(key("conversation", C), "at", at)
        with pytest.raises(StoreCorrupt):
            storage.store.open_conversation("", C)

    def test_a_ring_of_turns_ends(self, storage: Storage, raw: redis.Redis) -> None:
        raw.hset(key("turn", "a"), "parent", "b")
        assert [found.id for found in storage.store.turns("", TurnId("b"))] == ["a", "b"], "as was signed"
        with pytest.raises(StoreCorrupt):
            storage.store.turns("", TurnId("a"))

    def test_other_conversations_are_not_concerned(self, storage: Storage, raw: redis.Redis) -> None:
        storage.store.create(conversation("other"))
        raw.hset(key("conversation", C), "head", "nonsense")
        assert [found.id for found in storage.store.conversations("", Page(limit=1))] == ["other"]
        assert [found.id for found in storage.store.conversations("", Page())] == ["other"]
        assert storage.store.conversation("", ConversationId("other")) is not None

    def test_what_is_damaged_can_still_be_deleted(self, storage: Storage, raw: redis.Redis) -> None:
        raw.hset(key("record", "a"), "value", "nonsense")
        assert storage.store.delete_conversation("", C) == []
        assert raw.keys(key("turn", "*")) == raw.keys(key("record", "*")) == []


def test_deleting_everything_leaves_nothing_behind(storage: Storage, raw: redis.Redis) -> None:
    storage.store.create(conversation(C))
    storage.store.append(append(turn("a", conversation=C), record("a", "abc")))
    storage.store.append(replace(append(turn("b", "a", conversation=C), record("b", "x" * 200)), expected_version=1))
    storage.store.delete_conversation("", C)
    left = [bytes(name) for name in raw.scan_iter(prefix("") + "*")]
    assert {name.removeprefix(prefix("").encode()).split(b":")[0] for name in left} <= {b"seq"}


def test_a_full_redis_takes_nothing_or_all_and_lets_go_of_what_is_deleted(storage: Storage, raw: redis.Redis) -> None:
    storage.store.create(conversation(C))
    storage.store.append(append(turn("a", conversation=C), record("a", "abc")))
    raw.config_set("maxmemory", "100kb")
    try:
        with pytest.raises(StoreFailed, match="maxmemory"):
            storage.store.append(append(turn("b", "a", conversation=C), record("b", "de"), version=1))
        kept = storage.store.conversation("", C)
        assert kept and (kept.head, kept.version) == ("a", 1)
        assert storage.store.turn("", TurnId("b")) is None
        storage.store.withdraw("", TurnId("a"))
        storage.store.delete_conversation("", C)
        assert storage.store.turn("", TurnId("a")) is None
    finally:
        raw.config_set("maxmemory", "0")
    storage.store.append(append(turn("c")))


def test_servers_with_different_secrets_do_not_start_on_one_log(storage: Storage, log_redis: RedisServer) -> None:
    del storage
    with pytest.raises(StartRefused, match="WARMTURN_REDIS_SECRET"):
        open_shared_storage(log_redis.url, b"another")


def test_a_redis_that_is_not_there_is_refused_at_start(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    with pytest.raises(StartRefused, match=r"--redis.*--log sqlite"):
        open_shared_storage(server.url)


RIGHTS = (
    "~warmturn:* +ping +get +set +del +exists +incr +decr +time +expire +pexpire +pttl +hget +hmget +hset +hdel"
    " +hincrby +zadd +zrem +zrange +zrevrange +zrangebyscore +zrevrangebyscore +zscore +xadd +xread"
    " +eval +evalsha +config|get +scan +unlink &warmturn:* +subscribe +pubsub|numsub"
)
"""All that the log takes."""


def test_few_rights_are_enough(log_redis: RedisServer, raw: redis.Redis) -> None:
    raw.execute_command("ACL", "SETUSER", "few", "reset", "on", ">word", *RIGHTS.split())  # type: ignore[no-untyped-call]
    try:
        storage = open_shared_storage(log_redis.url.replace("://", "://few:word@"))
        assert storage.store.status().durable is True
        storage.store.create(conversation(C))
        lease = asyncio.run(storage.locks.acquire("", C))
        storage.store.append(replace(append(turn("a", conversation=C), record("a", "abc")), lease=lease))
        storage.locks.committed(lease)
        storage.locks.release(asyncio.run(storage.locks.acquire("", C)))
        storage.store.hide_item("", C, turn("a").input[0].id, 1)
        storage.store.set_metadata("", C, {"a": "b"})
        storage.store.append(findable(record("s", "x" * 100)))
        assert (
            storage.store.open_conversation("", C) and storage.store.conversations("", Page(after=C, order="asc")) == []
        )
        assert storage.store.delete_conversation("", C) and storage.store.withdraw("", TurnId("s"))
        storage.invalidations.emit("", [b"key"])
        storage.locks.close()
        storage.store.close()
        refused = [entry["object"] for entry in raw.acl_log()]
        assert set(refused) <= {"waitaof"}
    finally:
        raw.acl_deluser("few")
        raw.acl_log_reset()


def test_a_log_of_another_format_is_refused(log_redis: RedisServer, raw: redis.Redis) -> None:
    raw.set("warmturn:log:about", Signer().sign("about", "", "", {"format": 99}))
    with pytest.raises(StartRefused, match="format 99"):
        open_shared_storage(log_redis.url)


class TestDurability:
    KEPT = Durability("yes", "always", "", 0, "noeviction", waitaof=False)

    @pytest.mark.parametrize(
        ("changes", "durable", "why"),
        [
            ({}, True, "appendfsync always"),
            ({"appendfsync": "everysec"}, False, "last second"),
            ({"appendfsync": "no"}, False, "had not written"),
            ({"appendfsync": "everysec", "waitaof": True}, True, "WAITAOF"),
            ({"appendonly": "no"}, False, "restart loses everything"),
            ({"appendonly": "no", "save": "3600 1"}, False, "snapshots"),
            ({"maxmemory": 1, "maxmemory_policy": "allkeys-lru"}, False, "evict"),
            ({"maxmemory": 1, "maxmemory_policy": "volatile-lru"}, True, "always"),
            ({"appendonly": None, "appendfsync": None, "maxmemory": None, "maxmemory_policy": None}, None, "CONFIG"),
            ({"appendonly": None, "appendfsync": None, "waitaof": True}, True, "WAITAOF"),
        ],
    )
    def test_is_said_and_explained(self, changes: dict[str, object], durable: bool | None, why: str) -> None:
        verdict = replace(self.KEPT, **changes).verdict  # type: ignore[arg-type]
        assert verdict[0] is durable and why in verdict[1]

    def test_one_that_keeps_nothing_is_warned_about(
        self, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            storage = open_shared_storage(redis_server.url)
        assert "may lose acknowledged turns: appendonly is off" in caplog.text
        status = storage.store.status()
        assert (status.reachable, status.durable, status.settings["appendonly"]) == (True, False, "no")
        redis_server.kill()
        gone = storage.store.status()
        assert (gone.reachable, gone.durable) == (False, None)
        storage.locks.close()

    def test_one_that_hides_its_settings_is_unknown(self, tmp_path: Path) -> None:
        with RedisServer(tmp_path, *DURABLE, "--rename-command", "CONFIG", "") as server:
            storage = open_shared_storage(server.url)
            status = storage.store.status()
            assert status.reachable and status.durable is None
            assert status.settings["appendonly"] is None and status.settings["maxmemory"] is None
            storage.locks.close()


class TestWaitingForTheDisk:
    """No Redis here has WAITAOF (7.2); one whose SMISMEMBER goes by that name answers as many, and as it is told."""

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[RedisServer]:
        with RedisServer(tmp_path, *DURABLE, "--rename-command", "SMISMEMBER", "WAITAOF") as server:
            yield server

    def test_a_turn_is_acknowledged_once_it_is_on_disk(self, server: RedisServer) -> None:
        storage = open_shared_storage(server.url)
        assert storage.store.status().settings["waitaof"] is True
        with server.client() as client:
            with pytest.raises(StoreFailed, match="not on disk"):
                storage.store.append(append(turn("a")))
            client.sadd("1", "0")  # from now on the answer is: synced here, and by no replica
            storage.store.append(append(turn("a")))
            assert storage.store.turn("", TurnId("a")) is not None
            asked = client.info("commandstats")["cmdstat_smismember"]["calls"]
            storage.store.append(append(turn("b")))
            assert client.info("commandstats")["cmdstat_smismember"]["calls"] == asked + 1
        storage.locks.close()


def test_a_conversation_taken_in_twice_by_the_same_change_is_there_once(storage: Storage) -> None:
    """As when the reply to the first try was lost."""
    made = replace(conversation(C), head=TurnId("b"))
    appends = [Append(turn("a", conversation=C)), Append(turn("b", "a", conversation=C))]
    for _ in range(2):
        storage.store.take_in(made, appends)
    assert [found.id for found in storage.store.turns("", TurnId("b"))] == ["a", "b"]
    assert [found.id for found in storage.store.conversations("", Page())] == [C]
    for name in ("a", "b"):
        storage.store.withdraw("", TurnId(name))
    storage.store.delete_conversation("", C)
    assert storage.store.turns("", TurnId("b")) == [], "nobody counted it twice"
