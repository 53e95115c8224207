"""Markdown in a reply: what it becomes, that it does not flicker while it comes, and that it can be copied."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect
from tests.server.api.page.browser import PATIENCE_MS
from tests.server.api.page.conftest import StartVisit
from tests.support.server import ServerProcess

expect.set_options(timeout=PATIENCE_MS)

CODE = 'def greet(name):\n    return f"**{name}**"  # not bold\n-\n'
REPLY = f"""# Cats, *briefly*

They are **small**, `furry`, and ~~loud~~ ***quiet***; 2 * 3 = 6 and a_b_c.
Not far (**really**): [a page](https://example.com/cats) or <https://example.com/>.

- one **thing**
- another: ![a picture](https://example.com/cat.png)
  1. with `more`
  2. of it

| name | age |
|:-----|----:|
| Mirelo | 3 |
| **Sefine** | 12 |

```python
{CODE}```

> What was *said*,
> in two lines.

---
The end, at *last*.
"""
RENDER = """async ([text, step]) => {
  const { Markdown } = await import("/page/markdown.js");
  const reply = new Markdown();
  document.getElementById("turns").append(reply.element);
  const seen = [], kept = [];
  for (let end = step; end < text.length; end += step) {
    reply.show(text.slice(0, end), { grows: true });
    const plain = reply.element.cloneNode(true);
    plain.querySelectorAll("pre, code").forEach((code) => code.remove());
    seen.push(plain.textContent);
    const whole = [...reply.element.children].slice(0, -1);
    kept.push(whole.every((element, index) => !element.done || element.done === index + 1));
    whole.forEach((element, index) => (element.done = index + 1));
  }
  const firsts = [...reply.element.children].slice(0, -1);
  reply.show(text);
  const same = firsts.every((element, index) => reply.element.children[index] === element);
  return { seen, kept: kept.every(Boolean) && same, html: reply.element.innerHTML };
}"""


@pytest.fixture
def page(visit: StartVisit, shared_server: ServerProcess) -> Iterator[Page]:
    visitor = visit(shared_server.base_url, permissions=["clipboard-read", "clipboard-write"])
    yield visitor.open()


def reply_with(page: Page, *pieces: str, thought: str = "") -> None:
    """Streamed to the page in place of the model's."""
    deltas = [{"type": "response.reasoning_text.delta", "delta": thought}] if thought else []
    deltas += [{"type": "response.output_text.delta", "delta": piece} for piece in pieces]
    body = "".join(f"data: {json.dumps(delta)}\n\n" for delta in deltas)

    def answer(route: Route) -> None:
        route.fulfill(content_type="text/event-stream", body=body)

    page.route("**/v1/responses", answer)
    page.get_by_label("Message").fill("Tell me.")
    page.keyboard.press("Enter")


def test_markdown_becomes_elements(page: Page) -> None:
    reply_with(page, REPLY)
    reply = page.locator(".reply")
    expect(reply.get_by_role("heading", name="Cats, briefly")).to_be_visible()
    for tag, text in {"strong": "small", "s": "loud", "blockquote em": "said", "li ol li code": "more"}.items():
        expect(reply.locator(tag).first).to_have_text(text)
    expect(reply.locator("p em strong, p strong em")).to_have_text("quiet")
    expect(reply.get_by_role("list").first.get_by_role("listitem")).to_have_count(4)
    expect(reply.get_by_role("table").get_by_role("row")).to_have_text(["nameage", "Mirelo3", "Sefine12"])
    expect(reply.locator("td.right")).to_have_text(["3", "12"])
    expect(reply.locator("pre code")).to_have_text(CODE)
    expect(reply.locator("p").first).to_contain_text("2 * 3 = 6 and a_b_c.\nNot far (really)", use_inner_text=True)


def test_links_say_where_they_lead_and_pictures_are_not_fetched(page: Page) -> None:
    reply_with(page, REPLY)
    link = page.locator(".reply").get_by_role("link", name="a page")
    expect(link).to_have_attribute("href", "https://example.com/cats")
    expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    expect(link).to_have_attribute("target", "_blank")
    expect(page.locator(".reply .host")).to_have_text([" (example.com)", " (example.com)"])
    expect(page.locator(".reply").get_by_role("link", name="a picture")).to_be_visible()
    assert page.locator(".reply img").count() == 0


@pytest.mark.parametrize("step", [1, 7])
def test_nothing_flickers_while_it_comes(page: Page, step: int) -> None:
    """No mark stands there as a character before its other half comes, and what is whole keeps its elements."""
    found = page.evaluate(RENDER, [REPLY, step])
    assert [text for text in found["seen"] if any(mark in text for mark in ("**", "~~", "`", "](", "|", "#"))] == []
    assert found["kept"]
    assert found["html"] == page.evaluate(RENDER, [REPLY, len(REPLY)])["html"]


def test_code_and_replies_are_copied_as_they_were_written(page: Page) -> None:
    reply_with(page, REPLY[:50], REPLY[50:])
    code = page.get_by_role("button", name="Copy code")
    code.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == CODE
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == REPLY


def test_a_button_that_is_pressed_twice_says_what_it_does_again(page: Page) -> None:
    reply_with(page, REPLY)
    page.clock.install()
    page.get_by_role("button", name="Copy code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.evaluate("document.getElementById('announcer').textContent = ''")
    page.get_by_role("button", name="Copied").click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    page.clock.run_for(10_000)
    expect(page.get_by_role("button", name="Copy code")).to_be_visible(timeout=5_000)


def test_it_is_copied_without_the_clipboards_own_way_too(page: Page) -> None:
    """Which a page has only over TLS, or on the very machine."""
    reply_with(page, REPLY)
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.get_by_role("button", name="Copy code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_focused()
    page.get_by_label("Message").fill("")
    page.get_by_label("Message").press("Control+v")
    expect(page.get_by_label("Message")).to_have_value(CODE)
