"""A conversation in the browser."""

import json
import re

import pytest
from playwright.sync_api import Route, expect
from tests.server.api.page.browser import FIRST_LINE, PATIENCE_MS, Visit, start_slow_reply
from tests.server.api.page.conftest import StartVisit
from tests.support.server import ServerProcess

MARKUP = "<img src=x onerror=alert(1)><b>bold</b>&amp;"

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
