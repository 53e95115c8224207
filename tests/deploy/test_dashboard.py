"""The dashboard asks only for what a server really exports, in PromQL that Prometheus understands."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.deploy.conftest import DEPLOY, Yaml
from tests.support.balancer import Balancer
from tests.support.http import local_get
from tests.support.programs import program
from tests.support.promql import complaints, exposed
from tests.support.server import ServerProcess
from tests.support.talk import Talk

Expressions = list[tuple[str, str]]


@pytest.fixture(scope="module")
def figures(shared_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Everything that is scraped, after one turn and one refused request through a real balancer."""
    servers = [shared_server.base_url] * 2
    with Balancer(servers, tmp_path_factory.mktemp("balancer")) as balancer, balancer.client() as client:
        Talk.begin(client).say("who?")
        assert client.get("/v1/conversations/conv_none").status_code == 404
        yield local_get(f"{shared_server.base_url}/metrics").text + balancer.figures()


def test_every_metric_label_and_value_is_exported(expressions: Expressions, figures: str) -> None:
    series = exposed(figures)
    assert [f"{title}: {what}" for title, expr in expressions for what in complaints(expr, series)] == []


@pytest.mark.parametrize(
    "wrong",
    [
        "sum(rate(warmturn_turn_total[1m]))",
        'sum(warmturn_gained_seconds_total{source="guessed"})',
        'sum(warmturn_tier_bytes{level="ram"})',
        "sum by (level) (warmturn_tier_bytes)",
        "up",
    ],
)
def test_the_check_itself_finds_mistakes(figures: str, wrong: str) -> None:
    assert list(complaints(wrong, exposed(figures)))


def test_prometheus_understands_every_expression(expressions: Expressions, tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": expr} for number, (_, expr) in enumerate(expressions)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([program("promtool"), "check", "rules", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(expressions)} rules found" in done.stdout


def test_the_configuration_of_prometheus_is_sound(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret")
    config = tmp_path / "prometheus.yml"
    config.write_text((DEPLOY / "prometheus.yml").read_text().replace("/tmp/warmturn_api_key", str(key)))
    done = subprocess.run([program("promtool"), "check", "config", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_opens_on_savings(dashboard: Yaml) -> None:
    first = [panel for panel in dashboard["panels"] if panel["gridPos"]["y"] <= 1]
    assert first[0]["title"] == "Savings"
    assert "warmturn_saved_seconds_measured" in json.dumps(first[1])


def test_counters_are_asked_for_what_they_grew_by(expressions: Expressions) -> None:
    """Their own value is that since some server's start, and falls when it restarts."""
    grown = re.compile(r"(?:rate|increase)\s*\(\s*(?:warmturn|haproxy)_\w+_total\b")
    counted = re.compile(r"\b(?:warmturn|haproxy)_\w+_total\b")
    assert [title for title, expr in expressions if len(counted.findall(expr)) > len(grown.findall(expr))] == []


def test_figures_are_those_of_the_time_shown(dashboard: Yaml) -> None:
    """Single values by the whole of it, lines by steps that Grafana fits to it; never by a length of our own."""
    lengths = {
        (panel["type"], length)
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
        for length in re.findall(r"\[([^]]+)\]", target["expr"])
    }
    assert lengths == {("stat", "$__range"), ("timeseries", "$__rate_interval")}
    single = [target for panel in dashboard["panels"] if panel["type"] == "stat" for target in panel["targets"]]
    assert all(target["instant"] and not target["range"] for target in single)


def test_the_steps_know_how_often_is_scraped(prometheus_config: Yaml) -> None:
    """Else a rate over few samples shows nothing at all, or jumps."""
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    assert source["jsonData"]["timeInterval"] == prometheus_config["global"]["scrape_interval"]


def test_panels_have_their_own_place_id_and_explanation(dashboard: Yaml) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set[tuple[int, int]]()
    for panel in panels:
        place = panel["gridPos"]
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(column, line) for column in columns for line in rows}
        assert not cells & taken, panel["title"]
        assert max(columns) < 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"]
            assert [target["refId"] for target in panel["targets"]] == [
                chr(65 + n) for n in range(len(panel["targets"]))
            ]


def test_grafana_finds_dashboard_and_data(dashboard: Yaml, compose: Yaml) -> None:
    source = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"] if "datasource" in panel} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/warmturn.yml").read_text())["providers"][0]
    folder = provider["options"]["path"]
    grafana = compose["services"]["grafana"]
    assert f"./server/deploy/grafana/dashboards:{folder}:ro" in grafana["volumes"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{folder}/warmturn.json"
