"""The files that are shipped for a deployment."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "server" / "deploy"
Yaml = dict[str, Any]


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
