"""One change at a time for each conversation, over all servers: a lease in Redis, renewed while the turn runs."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from typing import Final

import redis

from ...model import ConversationId
from ..locks import Lease, locked
from .mark import Mark
from .scripts import Argument, Reply, Script, ScriptRunner

LEASE_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 1.0
_LOOK_AGAIN_SECONDS: Final = 1.25
"""Within which a server that lives has renewed its leases."""
_CLOSE_SECONDS: Final = 2.0

_ACQUIRE: Final = Script("acquire")
_LOOK: Final = Script("look")
_RENEW: Final = Script("renew")
_RELEASE: Final = Script("release")
_log = logging.getLogger(__name__)


class RedisLocks:
    """A server that dies leaves its leases to who sees that its mark is gone, or to run out. One that only slept, or
    was wrongly thought dead, finds its fence too low when it commits.
    """

    def __init__(
        self, scripts: ScriptRunner, lease_seconds: float = LEASE_SECONDS, renew_seconds: float = RENEW_SECONDS
    ) -> None:
        self._scripts = scripts
        self._lease_ms = int(lease_seconds * 1000)
        self._renew_seconds = renew_seconds
        self._held: dict[tuple[str, ConversationId], Lease] = {}
        self._given_up: dict[tuple[str, ConversationId], tuple[Lease, float]] = {}
        """Released here, and perhaps not in Redis yet; nobody here need wait for that."""
        self._renewed: dict[str, Lease] = {}
        self._mark = Mark(scripts.client)
        self._mark.keep()
        self._releases: queue.SimpleQueue[Lease | None] = queue.SimpleQueue()
        self._keeper = threading.Thread(target=self._keep, name="leases", daemon=True)
        self._keeper.start()

    async def acquire(self, tenant: str, conversation_id: ConversationId) -> Lease:
        lease = Lease(tenant, conversation_id, self._mark.token())
        if self._held.setdefault((tenant, conversation_id), lease) is not lease:
            raise locked()
        taking = asyncio.ensure_future(self._taken(lease))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(lambda taken: self._taken_in_vain(taken, lease))
            raise
        except BaseException:
            self.release(lease)
            raise

    async def is_held(self, tenant: str, conversation_id: ConversationId) -> bool:
        if (tenant, conversation_id) in self._held:
            return True
        answer, *_ = await self._ask(_LOOK, tenant, conversation_id)
        return bool(answer != b"free")

    def _taken_in_vain(self, taken: asyncio.Future[Lease], lease: Lease) -> None:
        """The caller went away meanwhile."""
        taken.exception()
        self.release(lease)

    def release(self, lease: Lease) -> None:
        if self._let_go(lease):
            self._given_up[lease.tenant, lease.conversation_id] = (lease, time.monotonic())
            self._releases.put(lease)

    def committed(self, lease: Lease) -> None:
        self._let_go(lease)

    def close(self) -> None:
        """Waits until what was released is released in Redis too, if that does not take long."""
        self._releases.put(None)
        self._keeper.join(_CLOSE_SECONDS)

    def _let_go(self, lease: Lease) -> bool:
        place = (lease.tenant, lease.conversation_id)
        self._renewed.pop(lease.token, None)
        held = self._held.get(place)
        if held is None or held.token != lease.token:
            return False
        del self._held[place]
        return True

    async def _taken(self, lease: Lease) -> Lease:
        """Raises Conflict and StoreFailed."""
        answer, *values = await self._ask(_ACQUIRE, lease.tenant, lease.conversation_id, lease.token, self._lease_ms)
        if answer in (b"taken", b"orphaned"):
            raise locked(max(1, -(-values[0] // 1000)))
        if answer == b"missing":
            return lease
        fence, now_ms = values
        self._scripts.set_clock(now_ms)
        taken = Lease(lease.tenant, lease.conversation_id, lease.token, int(fence))
        self._renewed[lease.token] = taken
        self._given_up.pop((lease.tenant, lease.conversation_id), None)
        return taken

    async def _ask(self, script: Script, tenant: str, conversation_id: ConversationId, *more: Argument) -> Reply:
        """Waits for a moment where the holder seems to be dead, for a lease of the dead is not renewed meanwhile.
        Not in a thread: a server that dies leaves many, and all that the log is asked waits for the same threads.
        """
        before = self._given_up.get((tenant, conversation_id))
        given_up = before[0].token if before else ""
        reply = await asyncio.to_thread(self._scripts.read, script, tenant, conversation_id, given_up, "", *more)
        if reply[0] != b"orphaned":
            return reply
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        seen_ms = int(reply[1] - 1000 * _LOOK_AGAIN_SECONDS / 2)
        return await asyncio.to_thread(self._scripts.read, script, tenant, conversation_id, given_up, seen_ms, *more)

    def _keep(self) -> None:
        """Releases at once, renews now and then."""
        next_renewal = time.monotonic() + self._renew_seconds
        while True:
            try:
                lease = self._releases.get(timeout=max(0.0, next_renewal - time.monotonic()))
            except queue.Empty:
                self._drop_run_out()
                self._renew_all()
                self._mark.keep()
                next_renewal = time.monotonic() + self._renew_seconds
                continue
            if lease is None:
                self._mark.close()
                return
            self._release(lease)

    def _release(self, lease: Lease) -> None:
        """Tried once: what stays behind runs out by itself."""
        try:
            self._scripts.try_once(_RELEASE, lease.tenant, lease.conversation_id, lease.token)
        except redis.RedisError as error:
            _log.warning("a lease was not released and runs out by itself: %s", error)

    def _drop_run_out(self) -> None:
        run_out = time.monotonic() - 2 * self._lease_ms / 1000
        for place, (_, since) in list(self._given_up.items()):
            if since < run_out:
                self._given_up.pop(place, None)

    def _renew_all(self) -> None:
        for lease in list(self._renewed.values()):
            try:
                (answer,) = self._scripts.try_once(
                    _RENEW, lease.tenant, lease.conversation_id, lease.token, lease.fence, self._lease_ms
                )
            except redis.RedisError as error:
                _log.warning("leases were not renewed: %s", error)
                return
            if answer == b"lost" and self._renewed.pop(lease.token, None):
                _log.warning("conversation %s was let go meanwhile, or taken over", lease.conversation_id)
