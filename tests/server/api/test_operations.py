"""What operators and monitors see."""

import subprocess
from importlib.metadata import version

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import StartServer
from tests.support.programs import program
from tests.support.server import ServerProcess


def test_health_and_readiness(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        assert http.get("/health").json() == {"status": "ok"}
        assert http.get("/ready").json()["status"] == "ready"


@pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics", "/v1/models", "/v1/stats", "/openapi.json"])
def test_head_says_what_get_would(shared_server: ServerProcess, path: str) -> None:
    with shared_server.client() as http:
        asked, given = http.head(path), http.get(path)
    assert (asked.status_code, asked.content) == (given.status_code, b"") == (200, b"")
    assert asked.headers["content-type"] == given.headers["content-type"]
    assert int(asked.headers["content-length"]) > 0


def test_head_is_refused_where_there_is_no_get_and_misses_what_is_not_there(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        assert http.head("/v1/responses").status_code == 405
        assert http.head("/v1/conversations/conv_none").status_code == 404


def test_promtool_has_nothing_to_say_about_the_metrics(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        http.post("/v1/responses", json={"input": "who?", "max_output_tokens": 2})
        text = http.get("/metrics").text
    done = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_no_count_ever_falls(shared_server: ServerProcess) -> None:
    """And every count is called one: a gauge named `_total` makes rates of nothing."""
    with shared_server.client() as http:
        families = list(text_string_to_metric_families(http.get("/metrics").text))
    assert [family.name for family in families if family.name.endswith("_total") and family.type != "counter"] == []


def test_build_model_and_process_are_told(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        text, stats = http.get("/metrics").text, http.get("/v1/stats").json()
    samples = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert samples["warmturn_build_info"].labels["warmturn"] == version("warmturn")
    told = samples["warmturn_model_info"].labels
    assert told == {name: str(stats[name]) for name in ("model", "dtype", "context_length")}
    assert samples["process_resident_memory_bytes"].value > 2**20
    assert samples["process_cpu_seconds_total"].value > 0


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
