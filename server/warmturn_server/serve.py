"""Serves the application on a socket of its own, until told to stop."""

from __future__ import annotations

import logging
import signal
import socket
from ipaddress import ip_address

import uvicorn

from .connection import Door, Limits, connection_of
from .descriptors import BACKLOG, room_for_connections
from .errors import StartRefused
from .settings import Settings

_GRACE_SECONDS = 10

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; says on stdout where, once requests are answered. Raises `StartRefused`."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    with _listen(settings.host, settings.port) as listener:
        if settings.api_key is None and not settings.insecure_no_key:
            _refuse_strangers(listener)
        from .build import build_app  # not before: it loads torch, and whoever mistypes a port should not wait for that

        app = build_app(settings)
        stats = app.state.service.engine.stats()
        ready = f"model {stats['model']}, {stats['dtype']}, {stats['threads']} threads"
        limits = _limits(settings)
        config = uvicorn.Config(
            app,
            http=connection_of(limits, Door(limits.connections)),
            ws="none",
            backlog=BACKLOG,
            log_level=settings.log_level,
            access_log=settings.log_level in ("debug", "info"),
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        signal.signal(signal.SIGTERM, _well_ended)
        _Server(config, f"Warmturn ready on {_url(listener)} ({ready})").run(sockets=[listener])


def _limits(settings: Settings) -> Limits:
    room = room_for_connections(settings.max_connections)
    if room < settings.max_connections:
        _log.warning("only %d connections at once: the limit of open files (ulimit -n) leaves no more", room)
    return Limits(
        connections=room,
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
        reader_seconds=settings.reader_seconds,
    )


def _well_ended(*_: object) -> None:
    """uvicorn raises the signal again when all is saved and closed; being asked to stop is no failure."""


class _Server(uvicorn.Server):
    """Tells when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            print(self._ready, flush=True)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        raise StartRefused(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error
    return listener


def _refuse_strangers(listener: socket.socket) -> None:
    address = listener.getsockname()[0]
    if not ip_address(address.partition("%")[0]).is_loopback:
        raise StartRefused(
            f"on {address} whoever reaches this machine could read and delete every conversation: "
            "set WARMTURN_API_KEY, or ask for that with --insecure-no-key"
        )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
