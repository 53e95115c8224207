"""What a reply looked at, in the browser."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect
from tests.server.api.page.conftest import StartVisit
from tests.support.server import ServerProcess


def test_a_reply_shows_where_it_looked(visit: StartVisit, bundled_server: ServerProcess) -> None:
    visitor = visit()
    page = visitor.open()
    for text in ("I have a cat called Mirelo.", "My locker code is 4821."):
        visitor.say(text)
    turn = visitor.say("What is my cat called?")
    expect(turn.locator(".reply")).to_contain_text("Mirelo")
    turn.get_by_role("button", name="Look back").click()
    panel = page.get_by_role("group", name="What this reply looked at")
    expect(panel.locator(".finding")).to_have_text(re.compile(r"^To choose “.+”, layer \d gave .* in turn 1\.$"))
    expect(panel.locator(".sources mark").first).to_be_visible()
    with bundled_server.client() as http:
        lookback = latest_lookback(http)
    expect(panel.get_by_role("group", name="Tokens of the reply").get_by_role("button")).to_have_count(
        len(lookback["looks"])
    )
    look = lookback["looks"][0]
    panel.get_by_role("group", name="Tokens of the reply").get_by_role("button").first.click()
    depths = [percent(depth["token_share"]) if depth else "–" for depth in look["by_layer"]]
    expect(panel.locator(".depths tbody tr td:nth-child(3)")).to_have_text(depths)
    shares = [percent(share) for share in look["shares"][:-1]]
    expect(panel.locator(".sources tbody tr td:nth-child(2)")).to_have_text(shares)
    turn.get_by_role("button", name="Look back").click()
    expect(panel).to_have_count(0)


VISIBLE = """panel => {
  const box = panel.getBoundingClientRect();
  const seen = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  return panel.contains(seen);
}"""


@pytest.mark.parametrize("height", [480, 900])
def test_it_opens_where_it_can_be_seen(visit: StartVisit, height: int) -> None:
    """Not behind the composer, which lies over the end of the page: all of it, or its beginning where room is short."""
    visitor = visit(viewport={"width": 1280, "height": height})
    page = visitor.open()
    for text in ("I have a cat called Mirelo.", "My locker code is 4821.", "What is my cat called?"):
        turn = visitor.say(text)
    turn.get_by_role("button", name="Look back").click()
    finding = page.locator(".finding")
    expect(finding).to_be_visible()
    assert finding.evaluate(VISIBLE)
    if height == 900:
        composer = page.locator("#composer").bounding_box()
        panel = page.locator(".lookback").bounding_box()
        assert composer and panel
        assert panel["y"] + panel["height"] <= composer["y"] + 1


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def latest_lookback(http: httpx.Client) -> dict[str, Any]:
    newest = http.get("/v1/conversations", params={"limit": 1}).json()["data"][0]["id"]
    turn = http.get(f"/v1/conversations/{newest}/turns", params={"limit": 1}).json()["data"][0]["id"]
    response = http.get(f"/v1/responses/{turn}", params={"include": "warmturn.lookback"}).json()
    lookback: dict[str, Any] = response["warmturn"]["lookback"]
    return lookback


def test_it_is_there_for_a_resumed_conversation_and_says_when_there_is_nothing(visit: StartVisit) -> None:
    visitor = visit()
    page = visitor.open()
    visitor.say("Hello!")
    page.reload()
    page.get_by_role("button", name="Look back").click()
    expect(page.locator(".finding")).to_have_text("There is no earlier turn to look at.")
