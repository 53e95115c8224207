"""The page's files over HTTP: what a browser may keep, and what it must not do with them."""

import hashlib

import pytest
from tests.support.server import ServerProcess

from warmturn_server.api.page.files import page_files

FILES = ["", "favicon.ico", *(f"page/{name}" for name in sorted(page_files()))]
VENDORED = {
    "vendor/markdown-it/markdown-it.umd.min.js": "391f2aa638e75e6c7859d0a5c5650ef0956722a45998f17e05b83bc655778e1e",
    "vendor/uplot/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "vendor/uplot/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


@pytest.mark.parametrize("path", FILES)
def test_every_file_may_be_kept_and_is_kept_harmless(shared_server: ServerProcess, path: str) -> None:
    with shared_server.client() as http:
        first = http.get(f"/{path}")
        again = http.get(f"/{path}", headers={"If-None-Match": first.headers["etag"]})
        other = http.get(f"/{path}", headers={"If-None-Match": '"another"'})
        head = http.head(f"/{path}")
    assert (first.status_code, again.status_code, other.status_code, head.status_code) == (200, 304, 200, 200)
    assert (again.content, head.content, other.content) == (b"", b"", first.content)
    for reply in (first, again, head):
        assert reply.headers["cache-control"] == "no-cache"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        policy = reply.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert "unsafe" not in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path", ["page/", "page/nothing.js", "page/../routes.py", "page/%2e%2e/routes.py", "page/static"]
)
def test_nothing_else_is_served(shared_server: ServerProcess, path: str) -> None:
    with shared_server.client() as http:
        assert http.get(f"/{path}").status_code == 404


def test_with_a_key_the_page_is_open_and_its_data_is_not(locked_server: ServerProcess) -> None:
    with locked_server.client() as http:
        assert all(http.get(f"/{path}").status_code == 200 for path in FILES)
        for path in ("v1/stats", "v1/conversations", "page/../v1/stats", "page/%2e%2e/v1/stats", "metrics"):
            assert http.get(f"/{path}").status_code in (401, 404)
            assert "turns" not in http.get(f"/{path}").text


def test_all_that_is_vendored_is_known() -> None:
    assert {name for name in page_files() if name.startswith("vendor/")} == set(VENDORED)


@pytest.mark.parametrize("name", VENDORED)
def test_vendored_files_are_as_their_makers_published_them(name: str) -> None:
    assert hashlib.sha256(page_files()[name].content).hexdigest() == VENDORED[name]
