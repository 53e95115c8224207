"""One replica: the whole server inside a deployment of Ray Serve."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import ray.util
from ray import serve
from starlette.types import ASGIApp

from .arguments import Arguments
from .data_folder import replica_folder
from .draining import await_draining
from .figures import OnlyOwnFigures, targets
from .finishing import FinishFirst, finish

HEALTH_SECONDS: Final = 20.0
_ACTOR: Final = "SERVE_REPLICA::"
_log = logging.getLogger(__name__)


@serve.ingress()
class Replica:
    """What Serve asks of it."""

    async def __init__(self, arguments: Arguments) -> None:  # type: ignore[misc]
        settings = arguments.read()
        context = serve.get_replica_context()
        folder = await asyncio.to_thread(replica_folder, settings.data_dir, context.rank.rank)
        from ..build import build_app  # loads torch

        settings = settings.model_copy(update={"data_dir": folder})
        self._application = await asyncio.to_thread(build_app, settings, _log.info)
        self._service = self._application.state.service
        self._drain_seconds = settings.drain_seconds
        self._watching = asyncio.create_task(self._watch())

    def __serve_build_asgi_app__(self) -> ASGIApp:
        context = serve.get_replica_context()
        prefix = f"{_ACTOR}{context.app_name}#{context.deployment}#"
        self._application.include_router(targets(lambda: _names(prefix)))
        return FinishFirst(OnlyOwnFigures(self._application, context.replica_tag), self._finish)

    async def check_health(self) -> None:
        """Raises where a new replica would do better: the engine is gone or stuck. A log that is away would be away for
        the next one too; that is for `/ready` to say.
        """
        await self._service.check(HEALTH_SECONDS)

    async def _watch(self) -> None:
        await await_draining()
        await self._finish()

    async def _finish(self) -> None:
        await finish(self._service.running, self._drain_seconds)


def _names(prefix: str) -> list[str]:
    """Of the replicas that there are now, those that come and go among them."""
    actors = (actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True))
    return [name.removeprefix(prefix) for name in actors if name.startswith(prefix)]
