"""`Idempotency-Key`: a request that is sent again is carried out once, and gets the answer of the first time.

The answer is kept as it was sent. Who goes away leaves a request that goes on for a moment: whoever sent a key will be
back.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import REPEATABLE, error_object, http_failure, reply
from .growing import Growing, Reading
from .json import JsonReply
from .sse import close_on_disconnect

KEPT_SECONDS: Final = 3600.0
MAX_BYTES: Final = 64 * 2**20
RETRY_SECONDS: Final = 30.0
"""So long a request goes on that nobody waits for."""
_BYTES_BESIDE: Final = 4096
"""What an answer takes beside what it says, about."""
_HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[!-~]{1,255}", re.ASCII)
_DELETED: Final = re.compile(r"/v1/\w+/([^/]+)(?:/items/[^/]+)?")
"""Paths at which something that was said is deleted, and whose it was. A pin that goes takes nothing along."""


class Answer:
    """What one request is answered with, as it comes, for as many as ask for it."""

    def __init__(self, path: str, fingerprint: bytes) -> None:
        self._asked_at = path.split("/")
        self.fingerprint = fingerprint
        self.messages = Growing[Message]()
        self.route: object = None
        self.failure: Exception | None = None
        self.is_gone = False
        """What it tells of was deleted."""
        self.is_abandoned = asyncio.Event()
        self._num_readers = 0
        self._giving_up: asyncio.TimerHandle | None = None

    @property
    def num_bytes(self) -> int:
        return _BYTES_BESIDE + sum(len(message.get("body", b"")) for message in self.messages.items)

    @property
    def succeeded(self) -> bool:
        began = self.messages.items[:1]
        return not self.failure and not self.is_abandoned.is_set() and bool(began) and began[0]["status"] < 300

    def is_about(self, name: str) -> bool:
        """Whether that is where it was asked for, or it says the name."""
        said = name.encode()
        return name in self._asked_at or any(said in message.get("body", b"") for message in self.messages.items)

    def forget(self) -> None:
        self.is_gone = True
        if self.messages.is_whole:
            self.messages.items.clear()

    async def tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        reading = Reading("", self.messages)
        watcher = asyncio.create_task(close_on_disconnect(receive, reading))
        self._comes()
        try:
            async for message in reading:
                scope["route"] = self.route
                await send(message)
        finally:
            watcher.cancel()
            self._goes()
        if self.failure:
            raise self.failure

    def _comes(self) -> None:
        self._num_readers += 1
        if self._giving_up:
            self._giving_up.cancel()

    def _goes(self) -> None:
        self._num_readers -= 1
        if not self._num_readers and not self.messages.is_whole:
            self._giving_up = asyncio.get_running_loop().call_later(RETRY_SECONDS, self.is_abandoned.set)


class AnswerOnce:
    """Of every POST with a key. Refusals and failures are not kept: asked again, they may be none."""

    def __init__(self, app: ASGIApp, kept_seconds: float = KEPT_SECONDS, max_bytes: int = MAX_BYTES) -> None:
        self._app = app
        self._kept_seconds = kept_seconds
        self._max_bytes = max_bytes
        self._at_work: dict[bytes, tuple[Answer, asyncio.Task[None]]] = {}
        self._kept: dict[bytes, tuple[Answer, int, asyncio.TimerHandle]] = {}
        self._num_bytes = 0

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        method = scope["method"] if scope["type"] == "http" else ""
        if method == "DELETE":
            return self._delete(scope, receive, send)
        if method == "POST" and (key := Headers(scope=scope).get(_HEADER)) is not None:
            return self._answer(key, scope, receive, send)
        return self._app(scope, receive, send)

    async def _delete(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_deleted = False

        async def noting(message: Message) -> None:
            nonlocal is_deleted
            is_deleted |= message.get("status") == 200
            await send(message)

        await self._app(scope, receive, noting)
        if is_deleted:
            self._forget(scope["path"])

    async def _answer(self, key: str, scope: Scope, receive: Receive, send: Send) -> None:
        if not _KEY.fullmatch(key):
            await _refusal(400, "invalid_value", "must be 1 to 255 visible characters of ASCII")(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        except HTTPException as error:
            await (await http_failure(request, error))(scope, receive, send)
            return
        answer = await self._found(
            _digest(request.headers.get("authorization", "").encode(), key.encode()), scope, body
        )
        if refusal := _refused(answer, _fingerprint(scope, body)):
            await refusal(scope, receive, send)
        else:
            await answer.tell(scope, receive, send)

    async def _found(self, key: bytes, scope: Scope, body: bytes) -> Answer:
        while (at_work := self._at_work.get(key)) and at_work[0].is_abandoned.is_set():
            await asyncio.wait([at_work[1]])
        if known := at_work or self._kept.get(key):
            return known[0]
        answer = Answer(scope["path"], _fingerprint(scope, body))
        inner = {**scope, REPEATABLE: _digest(key, answer.fingerprint).hex()}
        self._at_work[key] = answer, asyncio.create_task(self._carry_out(key, answer, inner, body))
        return answer

    async def _carry_out(self, key: bytes, answer: Answer, scope: Scope, body: bytes) -> None:
        coming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if coming:
                return coming.pop()
            await answer.is_abandoned.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            answer.route = scope.get("route")
            answer.messages.add(message)

        try:
            await self._app(scope, receive, send)
        except Exception as error:
            answer.failure = error
        finally:
            answer.messages.finish()
            del self._at_work[key]
        self._keep(key, answer)

    def _keep(self, key: bytes, answer: Answer) -> None:
        if not answer.succeeded:
            return
        expires = asyncio.get_running_loop().call_later(self._kept_seconds, self._drop, key)
        self._kept[key] = answer, answer.num_bytes, expires
        self._num_bytes += answer.num_bytes
        if answer.is_gone:
            answer.forget()
        while self._num_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: bytes) -> None:
        _, num_bytes, expires = self._kept.pop(key)
        expires.cancel()
        self._num_bytes -= num_bytes

    def _forget(self, path: str) -> None:
        """Answers that are about what was deleted may quote it."""
        if found := _DELETED.fullmatch(path):
            at_work, kept = self._at_work.values(), self._kept.values()
            for answer in [*(entry[0] for entry in at_work), *(entry[0] for entry in kept)]:
                if answer.is_about(found[1]):
                    answer.forget()


def _refused(answer: Answer, fingerprint: bytes) -> JsonReply | None:
    if answer.fingerprint != fingerprint:
        return _refusal(409, "idempotency_key_reused", "came with another request before: each has a key of its own")
    return answer_deleted() if answer.is_gone else None


def answer_deleted() -> JsonReply:
    return _refusal(409, "answer_deleted", "was that of a request whose answer was deleted; send it with another")


def _refusal(status: int, code: str, message: str) -> JsonReply:
    error = error_object(f"{_HEADER}: {message}.", code=code, param=_HEADER)
    return reply(status, error, {"x-should-retry": "false"})


def _fingerprint(scope: Scope, body: bytes) -> bytes:
    return _digest(scope["path"].encode(), scope["query_string"], body)


def _digest(*parts: bytes) -> bytes:
    """Unlike those of other parts, wherever one ends and the next begins."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
