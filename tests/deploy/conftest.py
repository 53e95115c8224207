"""The files that are shipped for a deployment, and a server alone to compare one with."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml
from tests.support.models import TinyModels
from tests.support.server import ServerProcess

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "server" / "deploy"
Yaml = dict[str, Any]


@pytest.fixture(scope="module")
def model(tiny_models: TinyModels) -> Path:
    """One that computes for longer than its state takes to restore."""
    return tiny_models("costly", scale=0.03, seed=1)


@pytest.fixture(scope="module")
def alone(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server that nobody disturbs."""
    data_dir = tmp_path_factory.mktemp("alone") / "data"
    with ServerProcess(model, data_dir, "--block-size", "8") as server, server.client() as client:
        yield client


@pytest.fixture(scope="session")
def compose() -> Yaml:
    content: Yaml = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return content


@pytest.fixture(scope="session")
def prometheus_config() -> Yaml:
    content: Yaml = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    return content


@pytest.fixture(scope="session")
def dashboard() -> Yaml:
    content: Yaml = json.loads((DEPLOY / "grafana" / "dashboards" / "warmturn.json").read_text())
    return content


@pytest.fixture(scope="session")
def expressions(dashboard: Yaml) -> list[tuple[str, str]]:
    """Title of a panel and PromQL of one of its targets, with the variables of Grafana filled in."""
    filled = {"$__rate_interval": "1m", "$__range": "30m", "$instance": ".*"}
    found = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in filled.items():
                expression = expression.replace(variable, value)
            found.append((panel["title"], expression))
    return found
