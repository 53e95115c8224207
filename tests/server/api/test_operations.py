"""What operators and monitors see."""

from tests.conftest import StartServer
from tests.support.server import ServerProcess


def test_health_and_readiness(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        assert http.get("/health").json() == {"status": "ok"}
        assert http.get("/ready").json()["status"] == "ready"
        for path in ("/health", "/ready"):
            reply = http.head(path)
            assert (reply.status_code, reply.content) == (200, b"")


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


def test_token_totals_agree_with_the_turns_reports(start_server: StartServer) -> None:
    with start_server().client() as http:
        said = [
            http.post("/v1/responses", json={"input": text, "reuse": mode, "max_output_tokens": 7}).json()
            for text, mode in (("one two three", "state"), ("one two three four", "state"), ("five", "prompt"))
        ]
        stats = http.get("/v1/stats").json()
        totals = stats["totals"]
        assert totals["tokens_generated"] == totals["output_tokens"] == sum(r["usage"]["output_tokens"] for r in said)
        assert totals["tokens_prefilled"] == stats["prompt_tokens_by_source"]["computed"]
        assert totals["tokens_prefilled"] == sum(reply["warmturn"]["prefilled_tokens"] for reply in said)
        http.post("/v1/responses", json={"input": "six", "reuse": "nothing", "max_output_tokens": 7})
        stats = http.get("/v1/stats").json()
        assert stats["totals"]["tokens_prefilled"] > stats["prompt_tokens_by_source"]["computed"]


def test_recent_figures_are_of_this_process(start_server: StartServer) -> None:
    server = start_server()
    with server.client() as http:
        http.post("/v1/responses", json={"input": "who?", "max_output_tokens": 2})
        before = http.get("/v1/stats").json()
    server.restart()
    with server.client() as http:
        after = http.get("/v1/stats").json()
    assert before["recent"]["by_reuse"]["state"]["turns"] == 1
    assert before["recent"]["by_reuse"]["state"]["ttft_ms"] == before["by_reuse"]["state"]["ttft_ms"]
    assert after["recent"]["by_reuse"]["state"] == {
        "turns": 0,
        **dict.fromkeys(("ttft_ms", "prefill_ms", "decode_ms_per_token"), dict.fromkeys(("p50", "p90", "p95", "p99"))),
    }
    assert after["instance"] != before["instance"]
