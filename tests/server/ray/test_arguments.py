"""What `serve run` is given: typed, and refused with words where it is not known or would not do."""

from typing import Any

import pytest

from warmturn_server.errors import StartRefused
from warmturn_server.ray.arguments import Arguments, Scale

ENOUGH = {"redis": "redis://127.0.0.1:6379/0"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMTURN_API_KEY", "the key")


def test_settings_and_scale_are_told_apart_and_typed() -> None:
    given = {**ENOUGH, "replicas": "2", "cpus": "1.5", "kv_memory": "64MiB", "drain_seconds": "3", "exact": "true"}
    arguments = Arguments.parse({**given, "allowed_hosts": "a.example, b.example"})
    settings = arguments.read()
    assert arguments.scale == Scale(replicas=2, cpus=1.5)
    assert (settings.kv_memory, settings.drain_seconds, settings.exact) == (64 * 2**20, 3.0, True)
    assert settings.allowed_hosts == ("a.example", "b.example")


@pytest.mark.parametrize(("cpus", "threads"), [("0.5", 1), ("1", 1), ("2.9", 2), ("4", 4)])
def test_a_replica_computes_with_the_threads_that_it_was_given_processors_for(cpus: str, threads: int) -> None:
    assert Arguments.parse({**ENOUGH, "cpus": cpus}).read().threads == threads
    assert Arguments.parse({**ENOUGH, "cpus": cpus, "threads": "3"}).read().threads == 3


def test_conversations_are_shared_whatever_is_said_of_it() -> None:
    assert Arguments.parse(ENOUGH).read().log == "redis"
    with pytest.raises(StartRefused, match="share their conversations"):
        Arguments.parse({**ENOUGH, "log": "sqlite"})


def test_with_a_gpu_it_computes_there() -> None:
    assert Arguments.parse({**ENOUGH, "gpus": "1"}).read().device == "cuda"
    assert Arguments.parse({**ENOUGH, "gpus": "1", "device": "cuda:1"}).read().device == "cuda:1"


def test_a_replica_reads_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = Arguments.parse(ENOUGH)
    assert "the key" not in repr(arguments)
    monkeypatch.setenv("WARMTURN_REDIS_SECRET", "only there")
    assert arguments.read().redis_secret_bytes == b"only there"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rediss": "redis://x"}, "unknown argument rediss=: did you mean redis?"),
        ({"qqqq": "1"}, "unknown argument qqqq=: known are .*replicas"),
        ({"replicas": "two"}, "replicas=two: .*integer"),
        ({"replicas": "0"}, "more than 0"),
        ({"replicas": "2", "max_replicas": "3"}, "give one of them"),
        ({"replicas": "2", "min_replicas": "3"}, "give one of them"),
        ({"turns_per_replica": "4"}, "give max_replicas= with it"),
        ({"min_replicas": "3", "max_replicas": "2"}, "less than min_replicas=3"),
        ({"kv_memory": "much"}, "kv_memory=: "),
        ({"port": "8001"}, "http_options"),
        ({"api_key": "k"}, "WARMTURN_API_KEY in the environment of every node"),
        ({"redis_secret": "k"}, "WARMTURN_REDIS_SECRET"),
        ({"redis": "redis://:word@h:6379/0"}, "WARMTURN_REDIS in the environment"),
        ({"redis": "http://h"}, "looks like redis://"),
    ],
)
def test_what_would_not_do_is_refused_with_what_to_do(given: dict[str, Any], words: str) -> None:
    with pytest.raises(StartRefused, match=words) as refused:
        Arguments.parse({**ENOUGH, **given})
    assert "word@" not in str(refused.value)


def test_without_a_redis_it_says_where_to_name_one() -> None:
    with pytest.raises(StartRefused, match=r"redis=redis://.*WARMTURN_REDIS"):
        Arguments.parse({"replicas": "2"})


def test_without_a_key_nothing_is_served_unless_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WARMTURN_API_KEY")
    with pytest.raises(StartRefused, match=r"WARMTURN_API_KEY.*insecure_no_key=true"):
        Arguments.parse(ENOUGH)
    assert Arguments.parse({**ENOUGH, "insecure_no_key": "true"}).read().api_key is None


def test_what_the_environment_says_wrong_is_named_as_it_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMTURN_BLOCK_SIZE", "0")
    with pytest.raises(StartRefused, match=r"^WARMTURN_BLOCK_SIZE: "):
        Arguments.parse(ENOUGH)
