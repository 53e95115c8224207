"""`docker-compose.yml`, as far as it can be checked without a container engine."""

import re
import subprocess
import sys
from typing import Any

import pytest
from tests.deploy.conftest import DEPLOY, ROOT, Yaml
from tests.server.chat.storage.redis.test_store import RIGHTS

from warmturn_server.kvcache.tiers.redis.tier import COMMANDS, COMMANDS_OF_A_CLUSTER
from warmturn_server.names import is_own_name
from warmturn_server.settings import Settings


def services(compose: Yaml) -> dict[str, Any]:
    found: dict[str, Any] = compose["services"]
    return found


def test_it_is_what_the_compose_specification_allows() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_service_is_hardened_watched_and_bounded(compose: Yaml) -> None:
    for name, service in services(compose).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["healthcheck"]["test"], name
        assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}, name
        assert service["restart"] == "unless-stopped", name


def test_every_image_has_a_version_to_the_last_digit(compose: Yaml) -> None:
    bases = re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    for image in [*(service["image"] for service in services(compose).values()), *bases]:
        assert re.search(r":v?\d+\.\d+\.\d+(-[a-z0-9-]+)?$", image), image


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\S+)", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert users
    assert users[-1].split(":")[0] not in ("0", "root")


def test_no_secret_is_inside_and_none_has_a_default(compose: Yaml) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for variable in ("WARMTURN_API_KEY", "WARMTURN_REDIS_SECRET", "REDIS_PASSWORD", "GRAFANA_PASSWORD"):
        used = re.findall(rf"(?<!\$)\$\{{{variable}([^}}]*)\}}", text)
        assert used, variable
        assert all(rest.startswith(":?") for rest in used), variable
    for name, service in services(compose).items():
        for key, value in service.get("environment", {}).items():
            if re.search("KEY|SECRET|PASSWORD|AUTH", key):
                assert re.fullmatch(r"\$\{\w+:\?[^}]*\}", value), (name, key)


def test_only_this_machine_reaches_what_is_published_and_nobody_reaches_redis(compose: Yaml) -> None:
    for name, service in services(compose).items():
        assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", [])), name
        if name.startswith("redis"):
            assert service["networks"] == ["state"]
            assert "ports" not in service
    assert compose["networks"]["state"] == {"internal": True}


def test_every_file_volume_and_network_is_there(compose: Yaml) -> None:
    for service in services(compose).values():
        assert set(service["networks"]) <= set(compose["networks"])
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in compose["volumes"], volume
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).exists()


def test_every_setting_of_a_server_is_one(compose: Yaml) -> None:
    for name in ("warmturn-1", "warmturn-2"):
        environment = services(compose)[name]["environment"]
        fields = {key.removeprefix("WARMTURN_").lower() for key in environment}
        assert fields <= set(Settings.model_fields)


def test_both_servers_are_alike_but_for_their_own_volume(compose: Yaml) -> None:
    one, two = (dict(services(compose)[name]) for name in ("warmturn-1", "warmturn-2"))
    assert one.pop("volumes") != two.pop("volumes")
    assert one == two


def test_balancer_and_prometheus_know_the_servers_by_their_names(compose: Yaml, prometheus_config: Yaml) -> None:
    configured = re.findall(r"presetenv SERVER_\w+ (\S+):8000", (DEPLOY / "haproxy.cfg").read_text())
    assert configured == ["warmturn-1", "warmturn-2"]
    targets = [target for job in prometheus_config["scrape_configs"] for target in job["static_configs"][0]["targets"]]
    assert {target.split(":")[0] for target in targets} == {*configured, "balancer"} <= set(services(compose))


def test_servers_answer_to_the_names_they_are_asked_by(compose: Yaml, prometheus_config: Yaml) -> None:
    for name in ("warmturn-1", "warmturn-2"):
        given = services(compose)[name]["environment"]["WARMTURN_ALLOWED_HOSTS"].replace("${WARMTURN_PUBLIC_HOST:-", "")
        allowed = Settings.model_validate({"allowed_hosts": given.replace("}", "")}).allowed_hosts
        for job in prometheus_config["scrape_configs"]:
            assert all(is_own_name(target, allowed) for target in job["static_configs"][0]["targets"])


def test_the_image_alone_refuses_to_serve_without_a_key() -> None:
    assert "--insecure-no-key" not in (DEPLOY / "Dockerfile").read_text()
    assert "0.0.0.0" in (DEPLOY / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("redis-log", {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}),
        ("redis-state", {"appendonly": "no", "maxmemory-policy": "allkeys-lru"}),
    ],
)
def test_the_log_is_kept_and_the_state_is_let_go(service: str, expected: dict[str, str]) -> None:
    lines = (DEPLOY / f"{service}.conf").read_text().splitlines()
    settings = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    assert expected.items() <= settings.items()


def test_the_readme_names_every_service_and_variable(compose: Yaml) -> None:
    readme = (DEPLOY / "README.md").read_text()
    for variable in re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text()):
        assert variable in readme
    for name in services(compose):
        assert f"`{name}`" in readme, name


def test_the_readme_grants_the_rights_that_suffice() -> None:
    readme = (DEPLOY / "README.md").read_text()
    tier, log = re.findall(r"ACL SETUSER warmturn on >PASSWORD (.*(?:\n {6}.*)*)", readme)
    assert tier.split() == ["~warmturn:*", *(f"+{command}" for command in COMMANDS)]
    assert log.split() == RIGHTS.split()
    assert " ".join(f"+{command}" for command in COMMANDS_OF_A_CLUSTER) in readme


def test_secrets_of_the_reader_are_not_committed() -> None:
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_image_gets_no_more_than_it_needs() -> None:
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert kept[0] == "*"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert {f"!{name}" for names in copied for name in names.split()} == {name for name in kept if name[0] == "!"}
