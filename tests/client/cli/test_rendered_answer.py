"""Markdown while it comes: what is drawn for good never changes, and nothing is lost or said twice."""

import io
import random

import pytest
from rich.console import Console

from warmturn.cli import rendered_answer
from warmturn.cli.rendered_answer import RenderedAnswer, split_at_last_block

ANSWER = """# Cats

Mirelo is a **very** old cat, who sleeps on the sunniest windowsill of the house and is seldom disturbed by anybody.

- one
- two

  still two

```python
print("Mirelo")

print("Luna")
```

| name | age |
|---|---|
| Mirelo | 17 |

The end, with a [link](https://example.com/cat)."""


@pytest.mark.parametrize("seed", range(20))
def test_blocks_that_are_whole_are_never_taken_back(seed: int) -> None:
    chance = random.Random(seed)
    printed, growing, rest = "", "", ANSWER
    while rest:
        size = chance.randint(1, 40)
        growing, rest = growing + rest[:size], rest[size:]
        whole, growing = split_at_last_block(growing)
        printed += whole
        assert ANSWER.startswith(printed + growing)
        assert not printed or split_at_last_block(printed + "\n\nmore")[0].strip() == printed.strip()
    assert printed + growing == ANSWER
    assert growing.startswith("The end")


def rendered(columns: int, text: str = ANSWER, pieces: int = 7) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=columns, height=10, color_system=None)
    view = RenderedAnswer(console)
    for start in range(0, len(text), pieces):
        view.add(text[start : start + pieces])
    view.end()
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_words_are_wrapped_whole_and_marks_are_gone() -> None:
    end = rendered(40)
    for word in ANSWER.replace("**", "").split():
        if word.isalpha():
            assert word in end
    assert "**" not in end and "```" not in end
    assert "https://example.com/cat" in end, "an address is seen, not hidden"


def printed(text: str, pieces: int) -> list[str]:
    """What stays at the end."""
    console = Console(file=io.StringIO(), width=40, color_system=None)
    view = RenderedAnswer(console)
    for start in range(0, len(text), pieces):
        view.add(text[start : start + pieces])
    view.end()
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("pieces", [1, 7, 50])
def test_blocks_stand_as_far_apart_as_in_one_document(monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
    monkeypatch.setattr(rendered_answer, "_REFRESH_SECONDS", 0.0)
    assert printed(ANSWER, pieces) == printed(ANSWER, len(ANSWER))


def test_what_steers_a_terminal_is_shown_instead() -> None:
    assert "\ufffd]0;owned" in rendered(80, "\x1b]0;owned\x07 said\n\nso")
