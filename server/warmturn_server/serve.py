"""Serves the application on a socket of its own, until told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Mapping
from ipaddress import ip_address
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from .connection import Door, Limits, connection_of
from .descriptors import BACKLOG, room_for_connections
from .errors import StartRefused
from .settings import Settings

if TYPE_CHECKING:
    from .chat import ChatService

_LAST_WORDS_SECONDS = 5
_LOOK_SECONDS = 0.05

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; says on stdout where, once requests are answered. Raises `StartRefused`."""
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    with _listen(settings.host, settings.port) as listener:
        if settings.api_key is None and not settings.insecure_no_key:
            _refuse_strangers(listener)
        _tell(f"loading PyTorch, then {settings.model}")
        from .build import build_app  # not before: it loads torch, and whoever mistypes a port should not wait for that

        app = build_app(settings, _tell)
        limits = _limits(settings)
        door = Door(limits.connections)
        config = uvicorn.Config(
            app,
            http=connection_of(limits, door),
            ws="none",
            backlog=BACKLOG,
            log_level=settings.log_level,
            access_log=settings.log_level in ("debug", "info"),
            timeout_graceful_shutdown=2 * _LAST_WORDS_SECONDS,
        )
        signal.signal(signal.SIGTERM, _well_ended)
        _Server(config, app.state.service, door, settings.drain_seconds).run(sockets=[listener])


def _tell(step: str) -> None:
    """A start takes seconds, or minutes for a large model: what it is about."""
    print(f"Warmturn: {step} ...", file=sys.stderr, flush=True)


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


def _weights(stats: Mapping[str, Any]) -> str:
    """How they are kept, and how a GGUF file's own bits would be."""
    dtype, executor = stats["dtype"], stats["executor"]
    taken = f"{executor['resident_weight_bytes'] / 2**20:,.0f} MiB"
    if executor["layers_as_filed"]:
        return f"{dtype} with the file's own weights in {taken}"
    if executor["weights"] != dtype:
        return f"{dtype} with {executor['weights']} weights in {taken}"
    if kept := executor["kept_in_file"]:
        return f"{dtype} in {taken}; --weights {kept} keeps the file's own bits"
    return str(dtype)


class _Server(uvicorn.Server):
    """Tells when it is ready. Told to end, it still answers while running turns go on, and takes no new ones.

    Told again it does not wait for them: they end as far as they have come.
    """

    def __init__(self, config: uvicorn.Config, service: ChatService, door: Door, drain_seconds: float) -> None:
        super().__init__(config)
        self._service = service
        self._door = door
        self._drain_seconds = drain_seconds
        self._hurry = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.freeze()  # what is here now stays: it need not be looked through for garbage again and again
        if not self.should_exit and sockets:
            stats = self._service.engine.stats()
            what = f"model {stats['model']}, {_weights(stats)}, {stats['threads']} threads"
            print(f"Warmturn ready on {_url(sockets[0])} ({what})", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._hurry = self.should_exit
        self._service.running.takes_no_more = True
        if not self.should_exit:
            super().handle_exit(sig, frame)

    async def main_loop(self) -> None:
        await super().main_loop()
        deadline = time.monotonic() + self._drain_seconds
        while len(self._service.running) and not self._hurry and time.monotonic() < deadline:
            await asyncio.sleep(_LOOK_SECONDS)
        await self._service.running.interrupt()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Replies that are not sent by then are not read by anybody; uvicorn would end them with a traceback."""
        self._door.give_up_the_quiet()
        asyncio.get_running_loop().call_later(_LAST_WORDS_SECONDS, self._door.give_up_all)
        await super().shutdown(sockets)


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
