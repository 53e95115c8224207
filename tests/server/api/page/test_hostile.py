"""Whatever users, models, titles and instructions say, it stays text: in a real browser, under the policy as served.

`visit` complains about a request to elsewhere and about every violation of the policy, so that a payload which came
through as markup is seen even where the policy kept it from doing harm.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect
from tests.conftest import StartServer
from tests.server.api.page.browser import PATIENCE_MS
from tests.server.api.page.conftest import StartVisit
from tests.server.api.page.payloads import PAYLOADS
from tests.support.server import ServerProcess

expect.set_options(timeout=PATIENCE_MS)

ItemsOf = Callable[[tuple[str, ...]], list[dict[str, str]]]

AT_A_TIME = 10
OPENED = 7
"""Every so many: a list shows all titles, a conversation its own and its instructions."""
SUSPECT = """() => {
  const allowed = new Set(("LI ARTICLE DIV P SPAN DETAILS SUMMARY BUTTON A SMALL BR HR H2 UL OL BLOCKQUOTE STRONG EM S "
    + "CODE PRE TABLE THEAD TBODY TR TH TD").split(" "));
  const harmless = new Set(["class", "type", "title", "hidden", "role", "aria-label", "tabindex", "dir", "start",
    "href", "target", "rel", "data-id", "aria-current"]);
  const found = window.attacked ? ["attacked"] : [];
  for (const one of document.querySelectorAll("#turns *, #conversations *, #title *")) {
    if (!allowed.has(one.tagName)) found.push(one.outerHTML);
    for (const { name, value } of one.attributes) {
      if (!harmless.has(name)) found.push(`${name} of ${one.outerHTML}`);
      if (name === "href" && !/^(https?:|mailto:|#)/.test(value)) found.push(value);
    }
  }
  return found;
}"""
ALL_BEGINNINGS = """async (payloads) => {
  const { Markdown } = await import("/page/markdown.js");
  const shown = payloads.map((payload) => {
    const reply = new Markdown();
    document.getElementById("turns").append(reply.element);
    for (let end = 1; end < payload.length; end += 1) reply.show(payload.slice(0, end), { grows: true });
    reply.show(payload);
    return reply.element.textContent;
  });
  return shown;
}"""

CALLED_BY = """async (names) => {
  const { TurnView } = await import("/page/turn.js");
  const turn = new TurnView("");
  document.getElementById("turns").append(turn.element);
  for (const name of names) turn.called({ type: "function_call", name, arguments: "{}" });
  return [...turn.calls.children].map((line) => line.textContent);
}"""


@pytest.fixture
def hostile(start_server: StartServer) -> ServerProcess:
    return start_server()


def messages(payloads: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {"type": "message", "role": role, "content": payload} for payload in payloads for role in ("user", "assistant")
    ]


def calls(payloads: tuple[str, ...]) -> list[dict[str, str]]:
    """Of a function with a name of the allowed letters: the server takes no other."""
    named = [(payload, f"call_{number}") for number, payload in enumerate(payloads)]
    return [
        item
        for payload, call_id in named
        for item in (
            {"type": "function_call", "call_id": call_id, "name": "f", "arguments": json.dumps({payload: payload})},
            {"type": "function_call_output", "call_id": call_id, "output": payload},
        )
    ]


def conversation_of(http: httpx.Client, payloads: tuple[str, ...], items_of: ItemsOf = messages) -> str:
    conversation: str = http.post("/v1/conversations", json={}).json()["id"]
    for start in range(0, len(payloads), AT_A_TIME):
        body = {"items": items_of(payloads[start : start + AT_A_TIME])}
        http.post(f"/v1/conversations/{conversation}/items", json=body).raise_for_status()
    return conversation


def test_there_are_fifty() -> None:
    assert len(set(PAYLOADS)) >= 50


def test_what_users_and_models_say(visit: StartVisit, hostile: ServerProcess) -> None:
    with hostile.client() as http:
        conversation = conversation_of(http, PAYLOADS)
    page = visit(hostile.base_url).open(f"#/c/{conversation}")
    expect(page.locator(".turn")).to_have_count(len(PAYLOADS))
    assert [text.removeprefix("You: ") for text in page.locator(".asked").all_text_contents()] == list(PAYLOADS)
    replies = page.locator(".reply").all_text_contents()
    assert replies[0] == PAYLOADS[0]
    assert page.evaluate(SUSPECT) == []
    assert page.evaluate(ALL_BEGINNINGS, PAYLOADS) == replies, "as it comes it is the same in the end"
    assert page.evaluate(SUSPECT) == []


def test_what_is_called_and_what_comes_of_it(visit: StartVisit, hostile: ServerProcess) -> None:
    with hostile.client() as http:
        conversation = conversation_of(http, PAYLOADS, calls)
    page = visit(hostile.base_url).open(f"#/c/{conversation}")
    shown = page.locator(".calls p")
    expect(shown).to_have_count(2 * len(PAYLOADS))
    called = [(f"called f({json.dumps({each: each})})", f"result: {each}") for each in PAYLOADS]
    assert shown.all_text_contents() == [line for pair in called for line in pair]
    assert page.evaluate(CALLED_BY, PAYLOADS) == [f"called {each}({{}})" for each in PAYLOADS], (
        "whatever a server sends"
    )
    assert page.evaluate(SUSPECT) == []


def test_titles_and_instructions(visit: StartVisit, hostile: ServerProcess) -> None:
    with hostile.client() as http:
        for payload in PAYLOADS:
            http.post("/v1/conversations", json={"metadata": {"title": payload, "system": payload}}).raise_for_status()
    page = visit(hostile.base_url).open()
    page.locator("#more").click()
    links = page.locator("#conversations a")
    expect(links).to_have_count(len(PAYLOADS))
    assert page.evaluate(SUSPECT) == []
    for number, payload in list(enumerate(reversed(PAYLOADS)))[::OPENED]:
        links.nth(number).evaluate("link => link.click()")
        expect(page.locator("#title")).to_have_text(" ".join(payload.split()))
        expect(page.locator("#system")).to_have_value(payload.replace("\n", ""))
        assert payload.split()[0] in page.title()
    assert page.evaluate(SUSPECT) == []


def test_a_reply_that_a_real_server_was_made_to_say(visit: StartVisit, hostile: ServerProcess) -> None:
    """Held to one single choice, the model says it token by token."""
    payload = "[x](javascript:attacked=1) <img src=x onerror=attacked=1>"
    page = visit(hostile.base_url).open()

    def forced(route: Route) -> None:
        asked: dict[str, Any] = route.request.post_data_json or {}
        route.continue_(post_data={**asked, "structured_outputs": {"choice": [payload]}})

    page.route("**/v1/responses", forced)
    say(page, payload)
    expect(page.locator(".reply")).to_have_text(payload)
    expect(page.locator(".line")).to_have_text(re.compile("TTFT"))
    assert page.evaluate(SUSPECT.replace("#turns *", "#turns article *")) == []


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")
