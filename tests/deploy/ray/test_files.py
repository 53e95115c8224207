"""What is shipped for Ray: arguments that the application takes, a resource that KubeRay knows, nothing left open."""

import json
import re
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml
from tests.deploy.conftest import DEPLOY, Yaml

from warmturn_server.ray.arguments import Arguments
from warmturn_server.ray.figures import TARGETS

RAY: Final = DEPLOY / "ray"
SCHEMA: Final = Path(__file__).with_name("rayservice_schema.json")
CALLBACK: Final = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"


def read(name: str) -> Yaml:
    content: Yaml = yaml.safe_load((RAY / name).read_text())
    return content


def service() -> Yaml:
    return read("rayservice.yaml")


def applications() -> dict[str, Yaml]:
    """What Serve is told, in both."""
    return {"serve": read("serve.yaml"), "rayservice": yaml.safe_load(service()["spec"]["serveConfigV2"])}


def containers() -> list[Any]:
    cluster = service()["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [container for group in groups for container in group["template"]["spec"]["containers"]]


@pytest.mark.parametrize("name", ["serve", "rayservice"])
def test_the_arguments_are_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARMTURN_API_KEY", "the key")
    monkeypatch.setenv("WARMTURN_REDIS", "redis://redis:6379/0")
    (application,) = applications()[name]["applications"]
    module, _, attribute = application["import_path"].partition(":")
    assert (module, attribute) == ("warmturn_server.ray", "app")
    arguments = Arguments.parse(application["args"])
    assert arguments.scale.max_replicas
    assert arguments.read().threads == arguments.scale.cpus


def test_the_resource_is_one_that_kuberay_knows() -> None:
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(service())


@pytest.mark.parametrize("wrong", ["rayClusterConfigs", "serveConfig"])
def test_the_schema_itself_finds_mistakes(wrong: str) -> None:
    resource = service()
    resource["spec"][wrong] = {}
    with pytest.raises(jsonschema.ValidationError, match=wrong):
        jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(resource)


def test_every_node_names_sessions_and_has_the_secrets_from_elsewhere() -> None:
    for container in containers():
        given = {variable["name"]: variable for variable in container["env"]}
        module, _, attribute = given.pop(CALLBACK)["value"].partition(":")
        assert (module, attribute) == ("warmturn_server.ray.proxy", "middlewares")
        assert all("secretKeyRef" in variable["valueFrom"] for variable in given.values())
        assert set(given) == {"WARMTURN_API_KEY", "WARMTURN_REDIS", "WARMTURN_REDIS_SECRET"}


def test_nobody_speaks_to_the_cluster_unasked() -> None:
    cluster = service()["spec"]["rayClusterConfig"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["networkPolicy"]["mode"] == "DenyAllIngress"
    open_to_all = [rule["ports"] for rule in cluster["networkPolicy"]["head"]["ingressRules"] if "from" not in rule]
    assert open_to_all == [[{"port": 8000, "protocol": "TCP"}]]
    assert read("serve.yaml")["http_options"]["host"] == "127.0.0.1"


def test_replicas_have_the_processors_that_they_ask_for_and_time_to_finish() -> None:
    (application,) = applications()["rayservice"]["applications"]
    (workers,) = service()["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    template = workers["template"]["spec"]
    assert float(template["containers"][0]["resources"]["requests"]["cpu"]) >= application["args"]["cpus"]
    assert template["terminationGracePeriodSeconds"] > application["args"]["drain_seconds"] + 20


def test_prometheus_asks_who_there_is() -> None:
    (job,) = read("prometheus.yml")["scrape_configs"]
    (discovery,) = job["http_sd_configs"]
    assert discovery["url"].endswith(TARGETS)
    assert discovery["authorization"] == {"type": "Bearer", **job["authorization"]}


def test_ray_and_redis_are_shown_at_ports_of_their_own() -> None:
    """Ray's own would be Redis' own."""
    readme = (RAY / "README.md").read_text()
    (ray,), redis = (
        re.findall(r"ray start --head --port=(\d+)", readme),
        re.findall(r"redis=redis://[\d.]+:(\d+)", readme),
    )
    assert redis and ray not in redis


def test_the_readme_says_what_is_open_by_default() -> None:
    readme = (RAY / "README.md").read_text()
    for words in ("RAY_AUTH_MODE=token", "--dashboard-host=127.0.0.1", "--node-ip-address=127.0.0.1", f"{CALLBACK}="):
        assert words in readme
