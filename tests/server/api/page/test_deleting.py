"""Conversations that are deleted in the browser."""

import re

from playwright.sync_api import Route, expect
from tests.conftest import StartServer
from tests.server.api.page.browser import PATIENCE_MS
from tests.server.api.page.conftest import StartVisit
from tests.support.server import ServerProcess

expect.set_options(timeout=PATIENCE_MS)


def test_more_conversations_are_listed_after_the_last_one_shown_was_deleted(
    visit: StartVisit, start_server: StartServer
) -> None:
    server = start_server()
    with server.client() as http:
        ids = [http.post("/v1/conversations", json={}).json()["id"] for _ in range(33)]
    page = visit(server.base_url).open(f"#/c/{ids[3]}")
    listed = page.locator("#conversations li")
    expect(listed).to_have_count(30)
    expect(listed.last).to_have_attribute("data-id", ids[3])
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Really delete?").click()
    expect(listed).to_have_count(29)
    page.locator("#more").click()
    expect(listed).to_have_count(32)
    expect(listed.last).to_have_attribute("data-id", ids[0])


def test_what_is_being_deleted_is_not_asked_for(visit: StartVisit, shared_server: ServerProcess) -> None:
    """A look-up that is under way is answered first; no later one is made, and it is deleted once."""
    with shared_server.client() as http:
        made = http.post("/v1/conversations", json={}).json()["id"]
        page = visit(shared_server.base_url).page
        held: list[Route] = []
        page.route(re.compile(rf"{made}/items\?limit=1&"), lambda route: held.append(route))
        with page.expect_request(re.compile(rf"{made}/items\?limit=1&")):
            page.goto(f"{shared_server.base_url}/#/c/{made}")
        page.get_by_role("button", name="Delete", exact=True).click()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.method) if made in request.url else None)
        page.get_by_role("button", name="Really delete?").dblclick()
        page.get_by_label("Message").press_sequentially("Are you there?")
        page.evaluate("new Promise((over) => setTimeout(over, 400))")  # what is typed is told after a pause
        assert (len(held), asked) == (1, [])
        held[0].continue_()
        expect(page.locator(f"#conversations li[data-id={made}]")).to_have_count(0)
        assert asked == ["DELETE"]
        assert http.get(f"/v1/conversations/{made}").status_code == 404
    page.go_back()
    expect(page.get_by_role("alert").first).to_have_text("This conversation does not exist any more.")
    assert asked == ["DELETE"]


def test_deleting_asks_twice(visit: StartVisit, bundled_server: ServerProcess) -> None:
    visitor = visit()
    page = visitor.open()
    visitor.say("My flight is on Tuesday at 9:30.")
    with bundled_server.client() as http:
        newest = http.get("/v1/conversations", params={"limit": 1}).json()["data"][0]["id"]
        page.get_by_role("button", name="Delete", exact=True).click()
        assert http.get(f"/v1/conversations/{newest}").status_code == 200
        page.get_by_role("button", name="Really delete?").click()
        expect(page.locator(".turn")).to_have_count(0)
        assert http.get(f"/v1/conversations/{newest}").status_code == 404
