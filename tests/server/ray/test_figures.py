"""One replica's figures are never another's."""

import httpx
import pytest
from fastapi import FastAPI

from warmturn_server.ray.figures import OnlyOwnFigures, targets


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = FastAPI()

    @app.get("/metrics")
    async def metrics() -> str:
        return "mine"

    app.include_router(targets(lambda: ["b", "a"]))
    transport = httpx.ASGITransport(OnlyOwnFigures(app, "a"))
    return httpx.AsyncClient(transport=transport, base_url="http://figures.example:8000")


async def test_a_replica_answers_to_its_own_name(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics?replica=a")).json() == "mine"
    for other in ("/metrics", "/metrics?replica=b", "/metrics?replica=a&replica=b", "/metrics?names=vllm"):
        refused = await client.get(other)
        assert refused.status_code == 404
        assert refused.json()["error"]["code"] == "replica_not_named"


async def test_prometheus_is_told_who_there_is(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics/targets")).json() == [
        {"targets": ["figures.example:8000"], "labels": {"__param_replica": name, "replica": name}} for name in "ab"
    ]
