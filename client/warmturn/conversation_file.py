"""A conversation in a file: fetched whole, through broken connections, and brought to a server part by part.

What is in such a file, and what a server believes of it, is the servers' business: `server/FILES.md`.
"""

import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from warmturn.errors import ApiError, FileError, ProtocolError, ServerUnreachable, WarmturnError
from warmturn.transport import Transport
from warmturn.wire import Imported, parse_imported

_START = struct.Struct(">8sHIIH")
_MAGIC = b"WARMTURN"
_CHECKSUM_BYTES = 32
_MOST_HEAD_BYTES = 8 * 2**20
_TRIES = 5
_PAUSE_SECONDS = 0.5
_IMPORTS = "/v1/imports"
_T = TypeVar("_T")


def fetch(transport: Transport, path: str, file: Path, *, force: bool) -> int:
    """Its size in bytes. There is a file under that name only when it is whole, and for its owner alone."""
    if file.exists() and not force:
        raise FileError(f"{file} is there already; name another file, or write over it with --force")
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with _private(unfinished) as target:
            size = _Download(transport, path, target).run()
            target.flush()
            os.fsync(target.fileno())
        _appear(unfinished, file, force=force)
        return size
    except OSError as error:
        raise FileError(f"cannot write {file}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def bring(transport: Transport, file: Path, *, keep_id: bool) -> Imported:
    """Makes a conversation of it on the server; of one that fails nothing stays there."""
    try:
        with file.open("rb") as source:
            return _Upload(transport, source).run(keep_id=keep_id)
    except OSError as error:
        raise FileError(f"cannot read {file}: {error.strerror}") from error


@contextmanager
def _private(path: Path) -> Iterator[BinaryIO]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file


def _appear(unfinished: Path, file: Path, *, force: bool) -> None:
    """Somebody else may have made one meanwhile: a link replaces nothing."""
    if force:
        unfinished.replace(file)
        return
    try:
        os.link(unfinished, file)
    except FileExistsError:
        raise FileError(f"{file} is there already; name another file, or write over it with --force") from None


class _Download:
    """Goes on where a connection broke, as long as it is still the same file; else from its beginning."""

    def __init__(self, transport: Transport, path: str, target: BinaryIO) -> None:
        self._transport = transport
        self._path = path
        self._target = target
        self._have = 0
        self._total: int | None = None
        self._tag = ""

    def run(self) -> int:
        tries = _TRIES
        while self._total is None or self._have < self._total:
            before = self._have
            try:
                self._read_on()
            except ServerUnreachable:
                tries = _TRIES if self._have > before else tries - 1
                if not tries or self._total is None:
                    raise
                time.sleep(_PAUSE_SECONDS)
        return self._have

    def _read_on(self) -> None:
        asked = {"Range": f"bytes={self._have}-", "If-Range": self._tag} if self._have else {}
        with self._transport.download(self._path, asked) as response:
            if response.status_code != 206:
                self._begin_anew()
            self._tag = response.headers.get("etag", "")
            self._total = self._have + _length(response.headers.get("content-length", ""))
            for piece in self._transport.read_bytes(response):
                self._target.write(piece)
                self._have += len(piece)

    def _begin_anew(self) -> None:
        self._have = 0
        self._target.seek(0)
        self._target.truncate()


class _Upload:
    """The server says which parts it wants; what it has already it does not ask for again. Behind a balancer it is the
    same one for all of them, and for who begins anew.
    """

    def __init__(self, transport: Transport, source: BinaryIO) -> None:
        self._source = source
        self._start = self._head()
        self._transport = transport.in_session(f"import-{sha256(self._start).hexdigest()[:32]}")

    def run(self, *, keep_id: bool) -> Imported:
        """A server that was started again meanwhile knows nothing of the import, and has the blocks still."""
        params = {"keep_id": str(keep_id).lower()}
        for _ in range(_TRIES):
            begun = self._transport.post_bytes(_IMPORTS, self._start, params)
            try:
                return self._bring(f"{_IMPORTS}/{begun['id']}", begun["wanted"])
            except ApiError as error:
                if error.code != "import_not_found":
                    raise
        raise FileError("the server forgets again and again what was sent to it")

    def _bring(self, place: str, wanted: list[dict[str, Any]]) -> Imported:
        """Each part once: what a server does not keep it would want for ever."""
        sent: set[int] = set()
        try:
            while new := [part for part in wanted if part["number"] not in sent]:
                sent |= self._send(place, new)
                wanted = _again(lambda: self._transport.get(place))["wanted"]
            return parse_imported(_again(lambda: self._transport.post(place, {})))
        except WarmturnError:
            with suppress(WarmturnError):
                self._transport.delete(place)
            raise

    def _send(self, place: str, wanted: list[dict[str, Any]]) -> set[int]:
        """Which were sent. Behind a damaged block no state is of use: then the server is asked what it wants still."""
        sent: set[int] = set()
        for part in wanted:
            sent.add(part["number"])
            self._source.seek(part["offset"])
            content = self._source.read(part["bytes"])
            try:
                _again(lambda: self._transport.post_bytes(f"{place}/parts/{part['number']}", content))  # noqa: B023
            except ApiError as error:
                if error.code != "state_damaged":
                    raise
                break
        return sent

    def _head(self) -> bytes:
        start = self._source.read(_START.size)
        if len(start) < _START.size or start[: len(_MAGIC)] != _MAGIC:
            raise FileError(
                f"{self._source.name} is no file of a conversation; `warmturn export --with-state` makes one"
            )
        _, _, header_bytes, index_bytes, signature_bytes = _START.unpack(start)
        rest = header_bytes + index_bytes + _CHECKSUM_BYTES + signature_bytes
        if rest > _MOST_HEAD_BYTES:
            raise FileError(f"{self._source.name} is damaged: its head says that it has {rest:,} bytes")
        return start + self._source.read(rest)


def _length(said: str) -> int:
    """Without it nobody could say whether the file is whole."""
    if not said.isdecimal():
        raise ProtocolError("the server, or what stands before it, does not say how long the file is (content-length)")
    return int(said)


def _again(ask: Callable[[], _T]) -> _T:
    """Everything here may be asked twice: what came through the first time changes nothing the second time."""
    for tries in range(_TRIES, 0, -1):
        try:
            return ask()
        except ServerUnreachable:
            if tries == 1:
                raise
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError("the last try returns or raises")
