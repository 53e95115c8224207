"""Every form of a Redis URL, and what a mistyped one is told."""

from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError
from tests.support.redis_server import RedisServer

from warmturn_server.errors import StartRefused
from warmturn_server.redis_link import RedisLink


@pytest.mark.parametrize(
    ("url", "shown", "db", "login"),
    [
        ("redis://cache", "redis://cache:6379", 0, (None, None)),
        ("redis://:p%40ss@cache:1/3", "redis://cache:1", 3, (None, "p@ss")),
        ("rediss://anna:s@[::1]:7/", "rediss://[::1]:7", 0, ("anna", "s")),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock", 2, (None, None)),
        ("redis+sentinel://a,b:7/1?service=main", "redis+sentinel://a:26379,b:7", 1, (None, None)),
        ("rediss+cluster://u:p@a:1,b:2", "rediss+cluster://a:1,b:2", 0, ("u", "p")),
    ],
)
def test_urls_are_read(url: str, shown: str, db: int, login: tuple[str | None, str | None]) -> None:
    link = RedisLink.parse(url)
    assert (str(link), link.db, (link.username, link.password)) == (shown, db, login)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("localhost:6379", "must begin with"),
        ("http://cache:s3cret@x", "must begin with"),
        ("redis://:s3cret@", "host"),
        ("redis://:s3cret@host:port", "host or port"),
        ("redis://:s3cret@host:99999", "host or port"),
        ("redis://:s3cret@host/one", "database"),
        ("redis://:s3cret@host?ssl_ca_certs=x", "unknown option 'ssl_ca_certs'"),
        ("rediss://:s3cret@host?password=s3cret", "unknown option 'password'"),
        ("redis://:s3cret@a,b", "redis\\+sentinel"),
        ("redis+sentinel://:s3cret@a", "service=NAME"),
        ("redis+cluster://:s3cret@a/1", "no databases"),
        ("unix://:s3cret@host", "absolute path"),
    ],
)
def test_a_wrong_url_is_refused_with_what_to_do_and_without_its_password(url: str, told: str) -> None:
    with pytest.raises(StartRefused, match=told) as refused:
        RedisLink.parse(url)
    assert "s3cret" not in str(refused.value)
    assert "redis://host:6379/0" in str(refused.value)


def test_a_link_never_shows_its_password() -> None:
    link = RedisLink.parse("redis+sentinel://u:s3cret@a/0?service=x&sentinel_password=s3cret")
    assert "s3cret" not in f"{link} {link!r}"


def test_a_client_speaks_to_the_database_asked_for(redis_server: RedisServer) -> None:
    link = RedisLink.parse(f"redis://127.0.0.1:{redis_server.port}/4")
    with link.client(timeout_seconds=5) as client:
        client.set("key", b"\xff\x00")
    with redis_server.client() as other:
        assert other.get("key") is None
        other.select(4)
        assert other.get("key") == b"\xff\x00"


def test_a_unix_socket_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with (
        RedisServer(tmp_path / "redis", "--unixsocket", str(path)),
        RedisLink.parse(f"unix://{path}?db=1").client(timeout_seconds=5) as client,
    ):
        client.set("key", "value")
        assert client.get("key") == b"value"


def test_user_and_password_are_sent(redis_server: RedisServer) -> None:
    with redis_server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "anna", "on", ">p@ss", "~*", "+ping")
    with RedisLink.parse(f"redis://anna:p%40ss@127.0.0.1:{redis_server.port}").client(timeout_seconds=5) as client:
        assert client.ping()
        with pytest.raises(NoPermissionError):
            client.get("key")
