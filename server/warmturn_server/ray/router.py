"""Which replica serves a request: sessions are hashed onto a ring, and the next one round it takes what one cannot."""

from __future__ import annotations

from typing import Any, Final

from ray.serve.config import RequestRouterConfig
from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter
from ray.serve.request_router import PendingRequest, RunningReplica

from .proxy import ONE_REPLICA

_ANY_REPLICA: Final = 10_000
"""So many more are tried after the first."""


class SessionRouter(ConsistentHashRouter):
    """Ray's own, which goes by the header `x-session-id`; who has none is dealt out. Only who asks for a certain
    replica's figures gets that one, if it is there."""

    async def choose_replicas(
        self, candidate_replicas: list[RunningReplica], pending_request: PendingRequest | None = None
    ) -> list[list[RunningReplica]]:
        session = pending_request.metadata.session_id if pending_request else ""
        if session.startswith(ONE_REPLICA):
            name = session.removeprefix(ONE_REPLICA)
            named = [replica for replica in candidate_replicas if replica.replica_id.unique_id == name]
            if named:
                return [named]
        ranked: list[list[RunningReplica]] = await super().choose_replicas(candidate_replicas, pending_request)
        return ranked


def router_config() -> Any:
    name = f"{SessionRouter.__module__}.{SessionRouter.__qualname__}"
    return RequestRouterConfig(request_router_class=name, request_router_kwargs={"num_fallback_replicas": _ANY_REPLICA})
