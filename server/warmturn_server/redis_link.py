"""Where Redis is, read from one URL, and clients for it. Finding masters and shards is redis-py's business."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.retry import Retry
from redis.sentinel import Sentinel

from .errors import StartRefused

RedisClient = redis.Redis | redis.RedisCluster
Kind = Literal["single", "sentinel", "cluster", "unix"]

_SCHEMES: Mapping[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
    "unix": ("unix", False),
}
_DEFAULT_PORT: Mapping[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_OPTIONS = ("service", "sentinel_username", "sentinel_password")
_READ_BYTES = 2**18


class BadURL(ValueError):
    """What is wrong with it, without what is secret in it."""


@dataclass(frozen=True, slots=True)
class RedisLink:
    """A parsed URL; one of

        redis://[[user]:password@]host[:port][/db]                         rediss:// for TLS
        unix:///path/to/socket[?db=0]
        redis+sentinel://[[user]:password@]host[:port],host[:port][/db]?service=NAME     rediss+sentinel:// for TLS
        redis+cluster://[[user]:password@]host[:port],host[:port]          rediss+cluster:// for TLS

    TLS takes `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile` (paths) from the query; certificate and host name are
    always checked. Sentinels that ask for a login of their own: `sentinel_username`, `sentinel_password`.
    Text of a link never shows a password.
    """

    kind: Kind
    nodes: tuple[tuple[str, int], ...]
    tls: bool = False
    db: int = 0
    path: str = ""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> RedisLink:
        """Raises `StartRefused` with what to do; the message never holds the URL itself."""
        try:
            return _parse(url)
        except BadURL as error:
            raise StartRefused(
                f"the Redis URL is not usable: {error}; it looks like redis://host:6379/0, rediss://..., "
                "unix:///path, redis+sentinel://host,host/0?service=NAME or redis+cluster://host,host"
            ) from None

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix://{self.path}"
        scheme = next(name for name, (kind, tls) in _SCHEMES.items() if (kind, tls) == (self.kind, self.tls))
        return f"{scheme}://" + ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.nodes
        )

    def client(self, *, timeout_seconds: float, max_connections: int | None = None) -> RedisClient:
        """A client with a pool of its own, bytes in and out.

        `timeout_seconds` is for connecting and for each read or write of the socket, not for a whole command. No
        command is tried again by itself, or it might run twice. Only a cluster's client connects here already, and
        raises `redis.RedisError` when it cannot.
        """
        common = self._common(timeout_seconds, max_connections)
        login: dict[str, Any] = {"username": self.username, "password": self.password}
        retry = Retry(NoBackoff(), 0)
        if self.kind == "cluster":
            nodes = [ClusterNode(host, port) for host, port in self.nodes]  # type: ignore[no-untyped-call]
            return redis.RedisCluster(startup_nodes=nodes, retry=retry, **common, **login)
        login["db"] = self.db
        if self.kind == "sentinel":
            own = {name: self.options.get(f"sentinel_{name}") for name in ("username", "password")}
            of_sentinels = {**common, **own, "retry": retry}
            watch = Sentinel(list(self.nodes), sentinel_kwargs=of_sentinels)  # type: ignore[no-untyped-call]
            master: redis.Redis = watch.master_for(  # type: ignore[no-untyped-call]
                self.options["service"], retry=retry, **common, **login
            )
            return master
        if self.kind == "unix":
            return redis.Redis(unix_socket_path=self.path, retry=retry, **common, **login)
        host, port = self.nodes[0]
        return redis.Redis(host, port, retry=retry, **common, **login)

    def _common(self, timeout: float, max_connections: int | None) -> dict[str, Any]:
        """RESP2 and no extras of newer servers: the same few commands everywhere, so that an ACL can be short."""
        common: dict[str, Any] = {
            "socket_timeout": timeout,
            "socket_connect_timeout": timeout,
            "socket_read_size": _READ_BYTES,
            "max_connections": max_connections,
            "protocol": 2,
            "driver_info": None,
        }
        if self.tls:
            greet = _read_something if self.kind == "cluster" else _log_in_and_read_something
            common |= {
                "ssl": True,
                "redis_connect_func": greet,
                **{name: self.options[name] for name in _TLS_FILES if name in self.options},
            }
        return common


def _log_in_and_read_something(connection: Any) -> None:
    connection.on_connect()
    _read_something(connection)


def _read_something(connection: Any) -> None:
    """A TLS 1.3 server sends tickets after the handshake; while they are unread, redis-py takes them for an old reply
    and gives the connection up. Reading any reply reads them."""
    connection.send_command("PING")
    connection.read_response()


def _parse(url: str) -> RedisLink:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in _SCHEMES:
        raise BadURL("it must begin with " + ", ".join(f"{name}://" for name in _SCHEMES))
    kind, tls = _SCHEMES[scheme]
    rest, _, query = rest.partition("?")
    authority, _, path = rest.partition("/")
    login, _, hosts = authority.rpartition("@")
    username, _, password = login.partition(":")
    options = _options(kind, tls, query)
    if kind == "unix" and (hosts or not path):
        raise BadURL("a unix socket needs an absolute path, unix:///path")
    return RedisLink(
        kind=kind,
        nodes=() if kind == "unix" else _nodes(kind, hosts),
        tls=tls,
        db=_db(kind, options.pop("db", "") if kind == "unix" else path),
        path=f"/{unquote(path)}" if kind == "unix" else "",
        username=unquote(username) or None,
        password=unquote(password) or None,
        options=options,
    )


def _options(kind: Kind, tls: bool, query: str) -> dict[str, str]:
    given = dict(parse_qsl(query))
    known = (_TLS_FILES if tls else ()) + (_SENTINEL_OPTIONS if kind == "sentinel" else ())
    known += ("db",) if kind == "unix" else ()
    if unknown := sorted(given.keys() - set(known)):
        allowed = f"known here are {', '.join(known)}" if known else "none is known here"
        raise BadURL(f"unknown option {unknown[0]!r}, {allowed}")
    if kind == "sentinel" and not given.get("service"):
        raise BadURL("with Sentinel, ?service=NAME must name what the sentinels watch")
    return given


def _nodes(kind: Kind, hosts: str) -> tuple[tuple[str, int], ...]:
    nodes = tuple(_node(host, _DEFAULT_PORT[kind]) for host in hosts.split(","))
    if kind == "single" and len(nodes) > 1:
        raise BadURL("several hosts need redis+sentinel:// or redis+cluster://")
    return nodes


def _node(host: str, default_port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        name, port = None, None
    if not name or not re.fullmatch(r"[\w.:%-]+", name):
        raise BadURL("a host or port in it is no host or port")
    return name, default_port if port is None else port


def _db(kind: Kind, text: str) -> int:
    if kind == "cluster" and text not in ("", "0"):
        raise BadURL("a cluster has no databases but 0")
    if not re.fullmatch(r"\d{0,5}", text):
        raise BadURL("the database after the host must be a number")
    return int(text or 0)
