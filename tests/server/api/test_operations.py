"""What operators and monitors see."""

from tests.support.server import ServerProcess


def test_health_and_readiness(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        assert http.get("/health").json() == {"status": "ok"}
        assert http.get("/ready").json()["status"] == "ready"


def test_models(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        (served,) = http.get("/v1/models").json()["data"]
        assert http.get(f"/v1/models/{served['id']}").json() == served
        assert http.post("/v1/responses", json={"input": "x", "model": served["id"], "max_output_tokens": 1}).is_success


def test_metrics_count_by_route_and_not_by_path(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        http.get("/v1/conversations/conv_some_id")
        reply = http.get("/metrics", follow_redirects=False)
    assert reply.status_code == 200
    assert 'route="/v1/conversations/{conversation_id}",status="404"' in reply.text
    assert "conv_some_id" not in reply.text
    assert "warmturn_time_to_first_token_seconds_bucket" in reply.text


def test_stats_have_the_engines_figures_and_the_totals(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        http.post("/v1/responses", json={"input": "who?", "max_output_tokens": 2})
        stats = http.get("/v1/stats").json()
    assert {"model", "running", "waiting", "tiers", "totals", "by_reuse", "saved_seconds"} <= set(stats)
    assert stats["totals"]["turns"] > 0
