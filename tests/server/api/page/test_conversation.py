"""A conversation in the browser."""

import dataclasses
import json
import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect
from tests.conftest import StartServer
from tests.server.api.page.browser import PATIENCE_MS, Visit
from tests.server.api.page.conftest import StartVisit
from tests.support.redis_server import free_port
from tests.support.server import ServerProcess
from tests.support.waiting import wait_until

from warmturn.format import turn_line
from warmturn.report import Control, Drafts, Miss, TurnReport

FIRST_LINE = re.compile(r"^TTFT [\d.,]+ m?s · [\d,]+ of [\d,]+ tokens reused")
MARKUP = "<img src=x onerror=alert(1)><b>bold</b>&amp;"
WENT_AWAY = "The server went away in the middle of the reply"

expect.set_options(timeout=PATIENCE_MS)


def test_a_turn_streams_and_is_accounted_for_and_the_next_one_reuses_it(visit: StartVisit) -> None:
    visitor = visit()
    visitor.open()
    first = visitor.say("I have a cat called Sefine.")
    expect(first.locator(".reply")).to_contain_text("Sefine")
    expect(first.locator(".line")).to_have_text(FIRST_LINE)
    expect(first.get_by_role("img")).to_have_attribute(
        "aria-label", re.compile(r"^Prompt tokens by source: .*computed")
    )
    second = visitor.say("What is my cat called?")
    expect(second.locator(".reply")).to_contain_text("Sefine")
    expect(second.locator(".line")).to_have_text(re.compile(r"[1-9]\d* of \d+ tokens reused \(resident\)"))
    expect(visitor.page.locator(".explanation").last).to_contain_text("had to be computed now")
    expect(visitor.page.locator("#announcer")).to_contain_text("Sefine")


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


def start_slow_reply(page: Page, text: str) -> None:
    """Endless, and slower with every token: nothing is reused."""
    page.get_by_role("radio", name="nothing").check()
    page.get_by_label("Message").fill(text)
    page.get_by_label("Message").press("Enter")
    expect(page.locator(".turn[aria-busy] .reply")).to_have_text(re.compile(r"\S+"))


def test_the_reply_is_shown_while_it_comes(visit: StartVisit, endless_server: ServerProcess) -> None:
    page = visit(endless_server.base_url).open()
    start_slow_reply(page, "go on")
    shown = page.locator(".reply").text_content() or ""
    expect(page.locator(".turn[aria-busy] .reply")).not_to_have_text(shown)
    page.keyboard.press("Escape")


@pytest.mark.parametrize("with_keyboard", [True, False])
def test_a_stopped_reply_is_kept_as_far_as_it_came(
    visit: StartVisit, endless_server: ServerProcess, with_keyboard: bool
) -> None:
    visitor = visit(endless_server.base_url)
    page = visitor.open()
    start_slow_reply(page, "go on and on")
    if with_keyboard:
        page.keyboard.press("Escape")
    else:
        page.get_by_role("button", name="Stop").click()
    expect(page.locator(".remark")).to_have_text("This reply was stopped here.")
    expect(page.get_by_label("Message")).to_have_value("")
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    expect(page.locator("#status-text")).to_contain_text("idle")
    said = page.locator(".reply").text_content()
    with endless_server.client() as http:
        newest = http.get("/v1/conversations", params={"limit": 1}).json()["data"][0]["id"]
        kept = http.get(f"/v1/conversations/{newest}/items", params={"order": "asc"}).json()["data"]
    assert [(item["status"], item["role"]) for item in kept] == [("completed", "user"), ("incomplete", "assistant")]
    page.reload()
    expect(page.locator(".remark")).to_have_text("This reply is not whole.")
    assert page.locator(".reply").text_content() == said, "shown from what the server kept"


def test_a_reply_that_is_left_is_kept_too(visit: StartVisit, endless_server: ServerProcess) -> None:
    page = visit(endless_server.base_url).open()
    start_slow_reply(page, "go on without me")
    page.get_by_role("link", name="New", exact=True).click()
    expect(page.locator(".turn")).to_have_count(0)
    start_slow_reply(page, "go on as well")
    page.get_by_role("link", name="New", exact=True).click()
    expect(page.locator(".turn")).to_have_count(0)
    expect(page.locator("#status-text")).to_contain_text("idle")
    page.get_by_role("link", name="go on without me").first.click()
    expect(page.locator(".asked")).to_have_text(re.compile("go on without me"))
    expect(page.locator(".reply")).to_have_text(re.compile(r"\S+"))


def test_a_conversation_outlives_a_reload_and_goes_on(visit: StartVisit) -> None:
    visitor = visit()
    page = visitor.open()
    visitor.say("My sister is called Anneke.")
    line = page.locator(".line").text_content()
    page.reload()
    expect(page.locator(".reply")).to_contain_text("Anneke")
    expect(page.locator(".line")).to_have_text(line or "")
    expect(page.get_by_role("heading", name="My sister is called Anneke.")).to_be_visible()
    expect(page.get_by_role("navigation", name="Conversations").get_by_role("link").nth(1)).to_have_text(
        re.compile("My sister is called Anneke.")
    )
    again = visitor.say("What is my sister's name?")
    expect(again.locator(".reply")).to_contain_text("Anneke")


def test_new_and_earlier_conversations(visit: StartVisit) -> None:
    visitor = visit()
    page = visitor.open()
    visitor.say("My locker code is 4821.")
    page.get_by_role("link", name="New", exact=True).click()
    expect(page.locator(".turn")).to_have_count(0)
    expect(page.get_by_role("heading", name="What was read once is not read again.")).to_be_visible()
    visitor.say("I live in Utrecht.")
    page.get_by_role("link", name="My locker code is 4821.").first.click()
    expect(page.locator(".asked")).to_have_text(re.compile("My locker code is 4821."))
    expect(page.locator(".turn")).to_have_count(1)
    page.go_back()
    expect(page.locator(".asked")).to_have_text(re.compile("I live in Utrecht."))


def test_asking_again_with_another_reuse_compares_the_times(visit: StartVisit, bundled_server: ServerProcess) -> None:
    visitor = visit()
    page = visitor.open()
    visitor.say("My favourite colour is teal.")
    turn = visitor.say("What is my favourite colour?")
    said = turn.locator(".reply").text_content()
    for mode in ("prompt", "nothing"):
        page.get_by_role("radio", name=mode).check()
        page.get_by_role("button", name="Ask again").click()
        expect(turn.locator(".line")).to_contain_text(f"reuse off ({mode})")
    expect(turn.locator(".comparison th")).to_have_text(["state", "prompt", "nothing"])
    expect(turn.locator(".reply")).to_have_text(said or "")
    with bundled_server.client() as http:
        newest = http.get("/v1/conversations", params={"limit": 1}).json()["data"][0]["id"]
        assert len(http.get(f"/v1/conversations/{newest}/items").json()["data"]) == 4


def test_branching_leaves_the_original_as_it_is(visit: StartVisit) -> None:
    visitor = visit()
    page = visitor.open()
    first = visitor.say("My name is Odile.")
    visitor.say("I live in Oslo.")
    original = page.url
    first.get_by_role("button", name="Branch").click()
    expect(page.locator(".turn")).to_have_count(1)
    assert page.url != original
    page.goto(original)
    expect(page.locator(".turn")).to_have_count(2)


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


def test_what_was_thought_is_folded_away_and_no_part_of_the_reply(visit: StartVisit) -> None:
    visitor = visit()
    page = visitor.open()

    def answer(route: Route) -> None:
        deltas = [{"type": "response.reasoning_text.delta", "delta": piece} for piece in ("hm", MARKUP)]
        deltas.append({"type": "response.output_text.delta", "delta": "fine"})
        route.fulfill(content_type="text/event-stream", body="".join(f"data: {json.dumps(one)}\n\n" for one in deltas))

    page.route("**/v1/responses", answer)
    page.get_by_label("Message").fill("hello")
    page.keyboard.press("Enter")
    expect(page.locator(".reply")).to_have_text("fine")
    expect(page.locator(".thought p")).to_be_hidden()
    page.locator(".thought summary").click()
    expect(page.locator(".thought p")).to_have_text(f"hm{MARKUP}")


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


def test_a_branch_that_the_server_refuses_says_why(visit: StartVisit, shared_server: ServerProcess) -> None:
    """Its title is one entry more than a conversation may have."""
    items = [{"type": "message", "role": role, "content": "hello"} for role in ("user", "assistant")]
    body = {"items": items, "metadata": {f"mine {number}": "full" for number in range(16)}}
    with shared_server.client() as http:
        made = http.post("/v1/conversations", json=body).json()["id"]
    visitor = visit(shared_server.base_url)
    page = visitor.open(f"#/c/{made}")
    page.get_by_role("button", name="Branch").click()
    expect(page.get_by_role("alert").first).to_contain_text("16")
    visitor.complaints = [each for each in visitor.complaints if "status of 400" not in each]


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


def test_a_key_is_asked_for_kept_in_the_tab_and_nowhere_else(visit: StartVisit, locked_server: ServerProcess) -> None:
    visitor = visit(locked_server.base_url)
    page = visitor.open()
    dialog = page.get_by_role("dialog")
    for key, complaint in (("wrong", "That key was not accepted."), ("open sesame", "")):
        dialog.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        if complaint:
            expect(dialog.get_by_role("alert")).to_have_text(complaint)
    expect(page.locator("#status-text")).to_contain_text("idle")
    visitor.say("hello")
    page.reload()
    expect(page.locator("#status-text")).to_contain_text("idle")
    expect(dialog).to_be_hidden()
    assert "open sesame" not in page.evaluate("JSON.stringify([localStorage, document.cookie, location.href])")
    fresh = Visit(page.context.browser, visitor.url)  # type: ignore[arg-type]
    expect(fresh.open().get_by_role("dialog")).to_be_visible()
    fresh.context.close()
    visitor.complaints = [each for each in visitor.complaints if "401" not in each]


def test_the_whole_conversation_with_the_keyboard_alone(visit: StartVisit) -> None:
    visitor = visit()
    page = visitor.open()
    expect(page.get_by_label("Message")).to_be_focused()
    page.keyboard.type("I have a dog called Luno.")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Hello!")
    expect(page.get_by_label("Message")).to_have_value("I have a dog called Luno.\nHello!")
    page.keyboard.press("Enter")
    expect(page.locator(".line")).to_have_count(1)
    expect(page.get_by_label("Message")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Send")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("radio", name="state")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="prompt")).to_be_checked()
    for _ in range(3):
        page.keyboard.press("Shift+Tab")
    for name in ("Branch", "Look back", "Ask again"):
        expect(page.get_by_role("button", name=name)).to_be_focused()
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".line")).to_contain_text("reuse off (prompt)")


REPORT = TurnReport(
    "state",
    1204,
    1186,
    18,
    {"resident": 0, "ram": 1186},
    ttft_ms=38.2,
    recompute_source="estimated",
    saved_ms=1442.9,
    saved_ms_ci95=(1352.9, 1542.9),
)


def saved(ms: float, low: float, high: float) -> TurnReport:
    return dataclasses.replace(REPORT, saved_ms=ms, saved_ms_ci95=(low, high))


@pytest.mark.parametrize(
    "report",
    [
        REPORT,
        dataclasses.replace(REPORT, saved_ms_ci95=None),
        saved(12.0, -5.0, 29.0),
        saved(-12.0, -15.0, -9.0),
        saved(3.0, 2.0, 4.0),
        saved(3.0, 0.0, 6.0),
        dataclasses.replace(REPORT, ttft_ms=None),
        dataclasses.replace(REPORT, recompute_source="measured", saved_ms_ci95=None),
        TurnReport("state", 20, 0, 20, {}, ttft_ms=6.14, saved_ms=0.0),
        TurnReport("state", 2000, 1999, 1, {"ram": 1000, "disk": 999}, ttft_ms=1234.0, saved_ms=99999.0),
        TurnReport("state", 9, 4, 5, {"disk": 4}, ttft_ms=12.3, saved_ms=-1.26, miss=Miss(4, "store_unavailable")),
        TurnReport("state", 9, 4, 5, {"disk": 4}, ttft_ms=9.96, saved_ms=9.94),
        TurnReport("state", 9, 4, 5, {"resident": 4}, ttft_ms=9.96, ahead_tokens=1234),
        TurnReport("prompt", 9, 0, 9, {}, ttft_ms=None, saved_ms=None),
        TurnReport("nothing", 1234567, 0, 1234567, {}, ttft_ms=999.6),
        TurnReport("state", 9, 0, 9, {}, drafts=Drafts(1200, 21)),
        TurnReport("state", 9, 0, 9, {}, ttft_ms=80.0, control=Control("ctl_1", "replace", 8, 12.0)),
        TurnReport("state", 9, 8, 1, {"ram": 8}, ttft_ms=8.0, control=Control("ctl_1", "shadow")),
    ],
)
def test_the_line_is_the_one_of_the_command_line(functions: Page, report: TurnReport) -> None:
    miss = {"at_token": report.miss.at_token, "reason": report.miss.reason} if report.miss else None
    drafts = report.drafts and dataclasses.asdict(report.drafts)
    control = report.control and dataclasses.asdict(report.control)
    nested = {"miss": miss, "drafts": drafts, "control": control}
    sent = {name: getattr(report, name) for name in TurnReport.__slots__} | nested
    shown = functions.evaluate("async (report) => (await import('/page/account.js')).turnLine(report)", sent)
    assert shown == turn_line(report)
