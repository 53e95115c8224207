"""Titles of conversations in the browser."""

import re

from playwright.sync_api import expect
from tests.conftest import StartServer
from tests.server.api.page.browser import PATIENCE_MS
from tests.server.api.page.conftest import StartVisit
from tests.support.server import ServerProcess

expect.set_options(timeout=PATIENCE_MS)


def test_titles_tell_conversations_apart(visit: StartVisit, start_server: StartServer) -> None:
    server = start_server()
    with server.client() as http:
        items = [{"type": "message", "role": "user", "content": "From another client, without a title"}]
        http.post("/v1/conversations", json={"items": items}).raise_for_status()
    visitor = visit(server.base_url)
    page = visitor.open()
    for number in (1, 2):
        visitor.say("Hello!")
        expect(page.locator("#conversations li")).to_have_count(1 + number)
        page.get_by_role("link", name="New", exact=True).click()
        expect(page.locator(".turn")).to_have_count(0)
    visitor.say("Hello!").get_by_role("button", name="Branch").click()
    wanted = ["Hello! (4)", "Hello! (3)", "Hello! (2)", "Hello!", "From another client, without a title"]
    expect(page.locator("#conversations a")).to_have_text([re.compile(rf"^{re.escape(name)}\d") for name in wanted])
    expect(page.get_by_role("heading", name="Hello! (4)")).to_be_visible()
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Title").fill("Greetings <b>")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Greetings <b>")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Greetings <b>")).to_be_visible()
    expect(page.locator("#conversations a").first).to_contain_text("Greetings <b>")


def test_a_title_is_left_as_it_is(visit: StartVisit, shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        made = http.post("/v1/conversations", json={"metadata": {"title": "Kept", "mine": "too"}}).json()["id"]
        page = visit(shared_server.base_url).open(f"#/c/{made}")
        page.get_by_role("button", name="Rename").click()
        expect(page.get_by_label("Title")).to_be_focused()
        page.keyboard.type("Something else")
        page.keyboard.press("Escape")
        expect(page.get_by_role("heading", name="Kept")).to_be_visible()
        page.get_by_role("button", name="Rename").click()
        page.keyboard.type("Renamed")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Renamed")).to_be_visible()
        assert http.get(f"/v1/conversations/{made}").json()["metadata"] == {"title": "Renamed", "mine": "too"}
