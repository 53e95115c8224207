"""A TCP proxy between a server and its Redis that can do what networks and dying machines do."""

import contextlib
import socket
import threading
import time
from types import TracebackType
from typing import Self

_CHUNK_BYTES = 2**14


class FaultProxy:
    """`with FaultProxy(redis.port) as proxy: proxy.cut_after(5_000)`; faults hold for all connections until `heal`."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._may_flow = threading.Event()
        self._may_flow.set()
        self._refusing = False
        self._delay_seconds = 0.0
        self._replies_left: int | None = None
        self.replied_bytes = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def refuse(self) -> None:
        """Connections break, and new ones break at once."""
        self._refusing = True
        self._break_all()

    def delay(self, seconds: float) -> None:
        """Every piece of every reply comes so much later."""
        self._delay_seconds = seconds

    def pause(self) -> None:
        """Nothing comes through, and nobody is told."""
        self._may_flow.clear()

    def cut_after(self, reply_bytes: int) -> None:
        """When so many more bytes of replies came through, all connections break; new ones work."""
        with self._lock:
            self._replies_left = reply_bytes

    def heal(self) -> None:
        self._refusing, self._delay_seconds, self._replies_left = False, 0.0, None
        self._may_flow.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.close()
        self.refuse()
        self._may_flow.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    self._connect(client)
                except OSError:
                    client.close()

    def _connect(self, client: socket.socket) -> None:
        if self._refusing:
            raise ConnectionRefusedError
        redis = socket.create_connection(("127.0.0.1", self._target_port))
        for connection in (client, redis):  # or a healthy proxy adds the 40 ms that Nagle's algorithm waits for an ACK
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open |= {client, redis}
        threading.Thread(target=self._pump, args=(client, redis, False), daemon=True).start()
        threading.Thread(target=self._pump, args=(redis, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, is_reply: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_CHUNK_BYTES):
                self._may_flow.wait()
                if is_reply:
                    time.sleep(self._delay_seconds)
                    piece = self._rationed(piece)
                    self.replied_bytes += len(piece)
                target.sendall(piece)
                if self._replies_left == 0:
                    self._replies_left = None
                    self._break_all()
        self._break(source, target)

    def _rationed(self, piece: bytes) -> bytes:
        with self._lock:
            if self._replies_left is None:
                return piece
            piece = piece[: self._replies_left]
            self._replies_left -= len(piece)
            return piece

    def _break_all(self) -> None:
        with self._lock:
            everything = tuple(self._open)
        self._break(*everything)

    def _break(self, *connections: socket.socket) -> None:
        with self._lock:
            self._open -= set(connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
