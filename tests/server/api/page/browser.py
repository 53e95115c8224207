"""A real browser on the server's page, which complains about everything that a careful page never does."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright
from tests.support.programs import program

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 60_000
"""How long the machine may take; nothing waits for it in vain."""
FIRST_LINE = re.compile(r"^TTFT [\d.,]+ m?s · [\d,]+ of [\d,]+ tokens reused")


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=list(_ARGUMENTS))
        yield browser
        browser.close()


class Visit:
    """One person's window, with storage of its own. `complaints` holds every error of the console, every exception and
    every request that did not go to the server."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.on("request", lambda request: self._check(request.url))
        self.context.on("console", lambda message: self._note(message.type, message.text))
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page: Page = self.context.new_page()

    def open(self, where: str = "") -> Page:
        self.page.goto(f"{self.url}/{where}")
        return self.page

    def say(self, text: str) -> Locator:
        """The turn, once it is over."""
        before = self.page.locator(".turn").count()
        self.page.get_by_label("Message").fill(text)
        self.page.keyboard.press("Enter")
        turn = self.page.locator(".turn").nth(before)
        turn.locator(".line").wait_for()
        return turn

    def _check(self, url: str) -> None:
        if not url.startswith(self.url):
            self.complaints.append(f"asked {url}")

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")


def start_slow_reply(page: Page, text: str) -> None:
    """Endless, and slower with every token: nothing is reused."""
    page.get_by_role("radio", name="nothing").check()
    page.get_by_label("Message").fill(text)
    page.get_by_label("Message").press("Enter")
    expect(page.locator(".turn[aria-busy] .reply")).to_have_text(re.compile(r"\S+"))
