"""What operators and monitors ask: is it alive, is it ready, what has it done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol, cast

from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response

from .caller import Service, Tenant
from .json import JsonReply
from .openapi import answers
from .shapes import Health, Readiness, StatsShape

router = APIRouter(tags=["operations"])


class ServerMetrics(Protocol):
    content_type: str

    def exposition(self) -> bytes: ...

    def exposition_with_vllm_names(self) -> bytes: ...

    def snapshot(self) -> dict[str, object]: ...

    def http_request(self, route: str, status: int) -> None: ...


def _metrics(request: Request) -> ServerMetrics:
    return cast(ServerMetrics, request.app.state.metrics)


@router.get("/health", responses=answers(Health))
async def health() -> Response:
    return JsonReply({"status": "ok"})


@router.get("/ready", responses={**answers(Readiness), 503: {"model": Readiness}})
async def ready(service: Service) -> Response:
    """The model is loaded, or nobody would answer; but without its log, or room in it, this server can promise nothing.

    A tier that is switched off only makes it slower.
    """
    log = await service.log_status()
    is_ready = log.reachable and log.writable and not service.running.takes_no_more
    body = {
        "status": "ready" if is_ready else "shutting_down" if service.running.takes_no_more else "unavailable",
        "model": service.engine.model_name,
        "log": {
            "store": log.store,
            "reachable": log.reachable,
            "writable": log.writable,
            "durability": {**log.settings, "durable": log.durable, "why": log.why},
        },
        "tiers": _tiers(service.engine.stats()),
    }
    return JsonReply(body, 200 if is_ready else 503)


def _tiers(stats: Mapping[str, Any]) -> dict[str, object]:
    tiers: Mapping[str, Mapping[str, Any]] = stats.get("tiers", {})
    return {name: {"available": tier.get("available", True)} for name, tier in tiers.items()}


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(
    figures: Annotated[ServerMetrics, Depends(_metrics)], names: Literal["warmturn", "vllm"] = "warmturn"
) -> Response:
    """Prometheus text; with `names=vllm` the same figures also under the names that vLLM gives them."""
    text = figures.exposition_with_vllm_names() if names == "vllm" else figures.exposition()
    return Response(text, media_type=figures.content_type)


@router.get("/v1/stats", responses=answers(StatsShape))
async def stats(figures: Annotated[ServerMetrics, Depends(_metrics)], service: Service, tenant: Tenant) -> Response:
    """The same for people: totals, percentiles by reuse mode, tiers, savings, and the caller's own latest misses."""
    recent = {"recent_misses": service.misses.of(tenant)}
    return JsonReply({**service.engine.stats(), **figures.snapshot(), **recent})
