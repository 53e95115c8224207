"""The project's documents, read as their readers use them: links to follow, lines to paste."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.project.conftest import ROOT

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_QUOTED: Final = re.compile(r'"([^"]+)"')
_COMMENT: Final = re.compile(r"\s+# .*$")

README: Final = ROOT / "README.md"
LONG_DOCUMENTS: Final = tuple(
    ROOT / name
    for name in (
        "server/README.md",
        "server/MODELS.md",
        "server/API.md",
        "server/CACHE_CONTROLS.md",
        "server/FILES.md",
        "server/REQUESTS.md",
        "server/OPERATIONS.md",
        "server/COMPARISON.md",
        "server/CHANGELOG.md",
        "server/deploy/README.md",
        "server/CLIENTS.md",
        "server/deploy/ray/README.md",
        "server/TOOLS.md",
        "server/warmturn_server/bundled/README.md",
        "client/README.md",
        "tests/README.md",
    )
)
DOCUMENTS: Final = (README, *LONG_DOCUMENTS)


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: its language, and what stands in it."""

    language: str
    text: str


def fences(document: Path) -> list[Fence]:
    return [Fence(*found) for found in _FENCE.findall(document.read_text(encoding="utf-8"))]


def blocks(document: Path, language: str) -> list[str]:
    return [fence.text for fence in fences(document) if fence.language == language]


def shell_lines(document: Path) -> list[str]:
    """What is shown to paste into a shell, a line each, without the remarks behind."""
    lines = "".join(blocks(document, "sh")).splitlines()
    return [_COMMENT.sub("", line) for line in lines if line]


def shell_lines_with_answers(document: Path) -> list[tuple[str, list[str]]]:
    """Each with what the remark behind it quotes: that has to be in what the line prints."""
    lines = [line for line in "".join(blocks(document, "sh")).splitlines() if line]
    return [(_COMMENT.sub("", line), _QUOTED.findall("".join(_COMMENT.findall(line)))) for line in lines]


def prose(document: Path) -> str:
    """The text between the fences."""
    return _FENCE.sub("", document.read_text(encoding="utf-8"))


def section(document: Path, heading: str) -> str:
    """From a heading of the second level to the next one."""
    _, _, behind = document.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    assert behind, heading
    return behind.partition("\n## ")[0]
