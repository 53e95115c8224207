"""For everybody: phones, dark rooms, keyboards, screen readers, people whom motion makes sick."""

import gzip
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.server.api.page.browser import Visit
from tests.server.api.page.conftest import StartVisit
from tests.server.api.page.test_reply import REPLY, reply_with
from tests.support.server import ServerProcess

PHONE = {"width": 360, "height": 740}
FINDINGS = "async () => (await axe.run()).violations.map((found) => `${found.id}: ${found.nodes.map((n) => n.target)}`)"


@cache
def axe() -> str:
    """https://github.com/dequelabs/axe-core 4.14.1, as published."""
    return gzip.decompress((Path(__file__).parent / "axe" / "axe.min.js.gz").read_bytes()).decode()


def fill(visitor: Visit) -> Page:
    """A page with everything on it: turns, a comparison, a look-back."""
    page = visitor.open()
    visitor.say(
        "I have a cat called Mirelo, andalongwordthatcannotbebrokenanywhereatallbutmustfitonaphonesscreensomehow."
    )
    turn = visitor.say("What is my cat called?")
    page.get_by_role("radio", name="prompt").check()
    page.get_by_role("button", name="Ask again").click()
    turn.locator(".comparison").wait_for()
    turn.get_by_role("button", name="Look back").click()
    page.locator(".lookback").wait_for()
    page.locator(".whole summary").click()
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_anybodys_way(browser: Browser, bundled_server: ServerProcess, scheme: str) -> None:
    """Roles, names, contrast, focus order and more, by axe; the policy that keeps foreign scripts out is off for it."""
    visitor = Visit(browser, bundled_server.base_url, color_scheme=scheme, bypass_csp=True, reduced_motion="reduce")
    page = visitor.open()
    expect(page.get_by_role("heading", name="What was read once")).to_be_visible()
    page.evaluate(axe())
    assert page.evaluate(FINDINGS) == []
    page = fill(visitor)
    reply_with(page, REPLY, thought="The user wants cats.")
    expect(page.locator(".reply table")).to_be_visible()
    page.locator(".thought summary").last.click()
    page.get_by_role("button", name="Rename").click()
    page.evaluate(axe())
    assert page.evaluate(FINDINGS) == []
    page.get_by_role("link", name="Figures").click()
    expect(page.locator("#panel-ttft tbody tr")).to_have_count(3)
    assert page.evaluate(FINDINGS) == []
    visitor.context.close()


def test_a_phone_scrolls_in_one_direction_only(visit: StartVisit) -> None:
    visitor = visit(viewport=PHONE, is_mobile=True, has_touch=True)
    visitor.open()
    assert width(visitor.page) == PHONE["width"]
    page = fill(visitor)
    page.locator(".options summary").click()
    reply_with(
        page,
        f"{REPLY}\n```\n{200 * 'x'}\n```\n\n{200 * 'y'} `{200 * 'z'}`\n\n| {' | '.join(9 * ['wide'])} |\n{9 * '|-'}|\n",
    )
    expect(page.locator(".reply pre")).to_have_count(2)
    assert width(page) == PHONE["width"]
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator("#notice")).to_be_in_viewport()
    toggle = page.get_by_role("button", name="Conversations")
    expect(page.locator("#conversations")).to_be_hidden()
    toggle.click()
    expect(page.locator("#conversations")).to_be_visible()
    assert width(page) == PHONE["width"]
    page.get_by_role("link", name="Figures").click()
    expect(page.locator("#panel-ttft tbody tr")).to_have_count(3)
    assert width(page) == PHONE["width"]


def width(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth"))


def test_dark_and_light_follow_the_system(visit: StartVisit) -> None:
    page = visit(color_scheme="light").open("#/figures")
    expect(page.locator("#panel-requests canvas")).to_be_visible()
    colours = [brightness(page)]
    page.emulate_media(color_scheme="dark")
    colours.append(brightness(page))
    assert colours[0] > 200 > 60 > colours[1]
    expect(page.locator("#panel-requests canvas")).to_be_visible()


def brightness(page: Page) -> float:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
    return float(sum(colour[:3]) / 3)


def test_who_wants_no_motion_gets_none(visit: StartVisit) -> None:
    page = visit(reduced_motion="reduce").open()
    moving = "[...document.querySelectorAll('*')].filter((e) => getComputedStyle(e).transitionDuration !== '0s').length"
    expect(page.locator(".example .bar")).to_be_visible()
    assert page.evaluate(moving) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) > 0


def test_focus_can_be_seen_everywhere(visit: StartVisit) -> None:
    page = visit().open()
    expect(page.get_by_label("Message")).to_be_focused()
    page.locator(".skip").focus()
    outline = (
        "() => { const at = document.activeElement; const shown = at.type === 'radio' ? at.nextElementSibling : at;"
        " return getComputedStyle(shown).outlineStyle; }"
    )
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        assert page.evaluate(outline) == "solid", page.evaluate("document.activeElement.outerHTML")
