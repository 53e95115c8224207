"""A server, or a connection, that goes away from the browser."""

import re
from pathlib import Path

from playwright.sync_api import Route, expect
from tests.conftest import StartServer
from tests.server.api.page.browser import FIRST_LINE, PATIENCE_MS, start_slow_reply
from tests.server.api.page.conftest import StartVisit
from tests.support.redis_server import free_port

WENT_AWAY = "The server went away in the middle of the reply"

expect.set_options(timeout=PATIENCE_MS)


def test_a_server_that_went_away_is_said_and_it_goes_on_when_it_is_back(
    visit: StartVisit, start_server: StartServer
) -> None:
    server = start_server("--port", str(free_port()))
    visitor = visit(server.base_url)
    page = visitor.open()
    expect(page.locator("#status-text")).to_contain_text("idle")
    server.kill()
    expect(page.locator("#status-text")).to_have_text("The server does not answer.")
    page.get_by_label("Message").fill("hello")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").first).to_have_text("The server does not answer; your message is back in the box.")
    expect(page.get_by_label("Message")).to_have_value("hello")
    server.start()
    expect(page.locator("#status-text")).to_contain_text("idle")
    page.get_by_label("Message").press("Enter")
    expect(page.locator(".line")).to_have_text(FIRST_LINE)
    visitor.complaints = [each for each in visitor.complaints if "net::ERR_" not in each]


def test_a_server_that_dies_in_the_middle_of_a_reply(
    visit: StartVisit, start_server: StartServer, endless_model: Path
) -> None:
    server = start_server(model=endless_model)
    visitor = visit(server.base_url)
    page = visitor.open()
    start_slow_reply(page, "go on")
    server.kill()
    expect(page.get_by_role("alert").first).to_have_text(f"{WENT_AWAY}; your message is back in the box.")
    expect(page.get_by_label("Message")).to_have_value("go on")
    expect(page.locator(".remark")).to_have_text(f"{WENT_AWAY}.")
    expect(page.locator(".reply")).to_have_text(re.compile(r"\S+"))
    visitor.complaints = [each for each in visitor.complaints if "net::ERR_" not in each]


def test_what_a_server_kept_of_a_reply_whose_connection_broke_is_shown(
    visit: StartVisit, start_server: StartServer
) -> None:
    """The stream ends early, as at a proxy that gave up; the turn is in the log, so nothing is to be said again."""
    page = visit(start_server().base_url).open()

    def cut(route: Route) -> None:
        events = route.fetch().text().split("\n\n")
        route.fulfill(content_type="text/event-stream", body="\n\n".join(events[:4]) + "\n\n")

    page.route("**/v1/responses", cut)
    page.get_by_label("Message").fill("hello")
    page.keyboard.press("Enter")
    expect(page.locator(".line")).to_have_text(FIRST_LINE)
    expect(page.locator("#notice")).to_have_text("")
    expect(page.get_by_label("Message")).to_have_value("")
    expect(page.get_by_role("heading", name="hello")).to_be_visible()
