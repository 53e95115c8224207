"""What is typed in the browser is prepared before it is said."""

import re

import httpx
from playwright.sync_api import expect
from tests.conftest import StartServer
from tests.server.api.page.browser import PATIENCE_MS
from tests.server.api.page.conftest import StartVisit
from tests.support.waiting import wait_until

expect.set_options(timeout=PATIENCE_MS)


def test_a_first_message_is_prepared_too_and_leaves_nothing_unless_it_is_said(
    visit: StartVisit, start_server: StartServer
) -> None:
    server = start_server()
    visitor = visit(server.base_url)
    page = visitor.open()
    with page.expect_request("**/warm") as asked:
        page.get_by_label("Message").press_sequentially("I have a cat ")
    begun = asked.value.response()
    assert begun is not None
    assert begun.json()["status"] == "preparing"
    place = begun.json()["id"]
    visitor.say("I have a dog called Sefine.")
    expect(page).to_have_url(re.compile(f"/c/{place}$"))
    expect(page.locator("#title")).to_have_text("I have a dog called Sefine.")
    with page.expect_request("**/warm") as asked:
        page.locator("#new").click()
        page.get_by_label("Message").press_sequentially("never said ")
    assert asked.value.response()
    page.goto(f"{server.base_url}/health")
    with server.client() as http:
        wait_until(lambda: _listed(http) == [place], "what was never said is still there")


def _listed(http: httpx.Client) -> list[str]:
    return [each["id"] for each in http.get("/v1/conversations").json()["data"]]


def test_what_is_typed_is_sent_to_be_prepared(visit: StartVisit) -> None:
    visitor = visit()
    page = visitor.open()
    visitor.say("I have a cat called Sefine.")
    with page.expect_request("**/warm") as asked:
        page.get_by_label("Message").press_sequentially("What is my ")
    assert (posted := asked.value.post_data_json)
    assert posted["input"] == "What is my "
    assert (response := asked.value.response())
    assert response.json()["status"] == "preparing"
    expect(visitor.say("What is my cat called?").locator(".reply")).to_contain_text("Sefine")
