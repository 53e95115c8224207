"""Names and pages that this server does not know: refused before anything is read, changed or told."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.models import TinyModels
from tests.support.server import ServerProcess

REBOUND: Final = "evil.example"
PAGE: Final = "https://chat.example.org"
OWN_NAME: Final = "warmturn-1:8000"
KEY: Final = "the key"


@pytest.fixture(scope="module")
def known(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with a key, a name and a page that may use it."""
    environment = {
        "WARMTURN_API_KEY": KEY,
        "WARMTURN_ALLOWED_HOSTS": "warmturn-1, *.internal",
        "WARMTURN_ALLOWED_ORIGINS": PAGE,
    }
    data_dir: Path = tmp_path_factory.mktemp("known") / "data"
    with ServerProcess(tiny_models(), data_dir, environment=environment) as server:
        yield server


def code(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["code"]


def test_a_name_that_was_made_to_point_here_reads_and_deletes_nothing(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        made = http.post("/v1/conversations", json={"metadata": {"title": "private"}}).json()["id"]
        stranger = {"Host": f"{REBOUND}:8000", "Origin": f"http://{REBOUND}:8000"}
        for headers in (stranger, {"Host": REBOUND}):
            for method, path in (
                ("GET", "/v1/conversations"),
                ("DELETE", f"/v1/conversations/{made}"),
                ("POST", "/v1/responses"),
                ("GET", "/"),
                ("GET", "/metrics"),
                ("GET", "/openapi.json"),
                ("OPTIONS", "/v1/responses"),
            ):
                reply = http.request(method, path, headers=headers)
                assert code(reply) == (403, "host_not_allowed")
                assert "private" not in reply.text
        assert http.get(f"/v1/conversations/{made}").status_code == 200


@pytest.mark.parametrize("origin", [f"https://{REBOUND}", "http://localhost:1", "null"])
def test_a_foreign_page_is_refused_with_every_method(shared_server: ServerProcess, origin: str) -> None:
    with shared_server.client() as http:
        made = http.post("/v1/conversations").json()["id"]
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
            reply = http.request(method, f"/v1/conversations/{made}", headers={"Origin": origin})
            assert reply.status_code == 403
            assert "access-control-allow-origin" not in reply.headers
        assert code(http.get("/ready", headers={"Origin": origin})) == (403, "origin_not_allowed")
        assert http.get(f"/v1/conversations/{made}").status_code == 200


def test_its_own_page_and_callers_that_are_no_page_pass(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        assert http.post("/v1/conversations", headers={"Origin": shared_server.base_url}).status_code == 200
        assert http.post("/v1/conversations").status_code == 200
        port = urlsplit(shared_server.base_url).port
        for host in (f"localhost:{port}", f"127.0.0.1:{port}", "10.1.2.3"):
            assert http.get("/v1/conversations", headers={"Host": host}).status_code == 200


def test_a_balancers_check_names_no_host(shared_server: ServerProcess) -> None:
    address = urlsplit(shared_server.base_url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as asking:
        asking.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
        assert asking.makefile("rb").readline().startswith(b"HTTP/1.1 200")


def test_names_of_the_deployment_are_known_and_still_need_the_key(known: ServerProcess) -> None:
    with known.client() as http:
        for host in (OWN_NAME, "one.internal"):
            assert code(http.get("/metrics", headers={"Host": host})) == (401, "invalid_api_key")
            assert http.get("/metrics", headers={"Host": host, "Authorization": f"Bearer {KEY}"}).status_code == 200
        assert code(http.get("/metrics", headers={"Host": REBOUND})) == (403, "host_not_allowed")


def test_a_named_page_asks_beforehand_and_then_asks(known: ServerProcess) -> None:
    with known.client() as http:
        before = {
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type, x-stainless-os",
        }
        reply = http.options("/v1/responses", headers=before)
        assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (200, PAGE)
        assert "POST" in reply.headers["access-control-allow-methods"]
        assert "x-stainless-os" in reply.headers["access-control-allow-headers"]
        asked = {"Origin": PAGE, "Authorization": f"Bearer {KEY}"}
        for reply in (
            http.post("/v1/conversations", headers=asked),
            http.post("/v1/conversations", headers={"Origin": PAGE}),
            http.get("/v1/conversations/conv_none", headers=asked),
        ):
            assert reply.headers["access-control-allow-origin"] == PAGE
        assert http.options("/v1/responses", headers={**before, "Origin": "https://other.example"}).status_code == 403


def test_no_page_loads_scripts_from_elsewhere(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
            assert http.get(path).status_code == 404
        assert "/v1/responses" in http.get("/openapi.json").json()["paths"]


@pytest.mark.slow
def test_without_a_key_other_machines_are_served_only_if_that_is_asked_for(start_server: StartServer) -> None:
    with pytest.raises(AssertionError, match=r"WARMTURN_API_KEY.*--insecure-no-key"):
        start_server("--host", "0.0.0.0")
    options: tuple[tuple[list[str], dict[str, str]], ...] = (["--insecure-no-key"], {}), ([], {"WARMTURN_API_KEY": KEY})
    for flags, environment in options:
        server = start_server("--host", "0.0.0.0", *flags, environment=environment)
        port = urlsplit(server.base_url).port
        assert httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
        server.kill()
