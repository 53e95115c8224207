"""How replies are printed in the demo."""

import random
from io import StringIO

import pytest
from rich.console import Console

from warmturn.cli.demo.flow import Flow

SAID = "Amber, Clover and Juniper\n\nare names of three hives in Tromsø; 東京 and onewordthatfitsnowherenowhere  end. "


def printed(*pieces: str, is_terminal: bool = True) -> str:
    console = Console(file=StringIO(), width=20, force_terminal=is_terminal, color_system=None)
    flow = Flow(console)
    for piece in pieces:
        flow.add(piece)
    flow.end()
    flow.end()
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


@pytest.mark.parametrize("seed", range(5))
def test_words_are_whole_however_they_came(seed: int) -> None:
    cuts = sorted(random.Random(seed).sample(range(1, len(SAID)), 30))
    pieces = [SAID[start:end] for start, end in zip([0, *cuts], [*cuts, len(SAID)], strict=True)]
    assert printed(*pieces).split("\n") == [
        "Amber, Clover and",
        "Juniper",
        "",
        "are names of three",
        "hives in Tromsø;",
        "東京 and",
        "onewordthatfitsnowherenowhere",
        "end.",
        "",
    ]
    assert printed(*pieces, is_terminal=False) == SAID.rstrip() + "\n"


def test_nothing_said_is_no_line() -> None:
    assert printed() == printed("") == ""
