"""How `warmturn chat` shows what an answer looked at."""

from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from tests.client.command import Command
from tests.client.lookbacks import PLAIN, document, source
from tests.support.server import ServerProcess

from warmturn.cli.chat.lookback_view import bar, lookback_lines
from warmturn.lookback import parse_lookback


def lines(found: dict[str, Any], layer: int | None = None) -> list[str]:
    return list(lookback_lines(parse_lookback(found), layer))


def test_the_view_names_turns_and_tokens() -> None:
    shown = lines(PLAIN)
    assert next(line for line in shown if "My cat is Mio." in line).split() == [
        *("turn", "1", "you", "My", "cat", "is", "Mio.", "45.0%", "█████████▉")
    ]
    pointing = [line for line in shown if "layer 1" in line]
    assert len(pointing) == 1, "a look at nothing in particular is not worth a line"
    assert "“ Mio”" in pointing[0] and "turn 1" in pointing[0] and "75%" in pointing[0]
    assert not [line for line in shown if "sink" in line]
    assert any("sink" in line for line in lines(document(0.3, 0.4, 0.1, 0.1, 0.1)))


def test_a_layer_is_shown_alone() -> None:
    assert not [line for line in lines(PLAIN, 0) if "layer 1" in line]
    assert any("none of them" in line for line in lines(PLAIN, 0))
    assert any("layer 1" in line and "75%" in line for line in lines(PLAIN, 1))


@pytest.mark.parametrize("text", ["東京" * 30, "x" * 200, "two\nlines\tand a tab", "👩‍👩‍👧 " * 20, "é" * 90])
def test_every_line_fits_80_columns(text: str) -> None:
    items = [source("item", text, "assistant", turn) for turn in range(1, 41)]
    for line in lines(document(0.1, *[0.02] * 40, 0.1, 0.0, items=items, looked_at=text)):
        assert cell_len(line) <= 79
        assert "\n" not in line and "\t" not in line


def test_of_a_long_conversation_the_rest_is_summed() -> None:
    items = [source("item", f"number {turn}", "user", turn) for turn in range(1, 41)]
    shown = lines(document(0.1, *[0.01] * 30, *[0.05] * 10, 0.1, 0.0, items=items))
    assert any("26 other items" in line and "26.0%" in line for line in shown)
    assert [line for line in shown if "number 40" in line] and not [line for line in shown if "number 30" in line]


def test_bars_show_whatever_is_not_nothing() -> None:
    assert [bar(share, 4) for share in (0.0, 0.0001, 0.001, 0.25, 0.3, 1.0)] == ["", "", "▏", "█", "█▎", "████"]


def test_chat_shows_what_the_last_answer_looked_at(shared_server: ServerProcess, tmp_path: Path) -> None:
    command = Command(tmp_path, shared_server.base_url)
    said = "/lookback\nmy name is Anna\nwho is she?\n/lookback\n/lookback 1\n/lookback 3\n/lookback x\n"
    done = command("chat", "--temperature", "0", "--max-tokens", "6", stdin=said, COLUMNS="80")
    done.ok()
    before, *shown = done.stderr.split("what the ")
    assert "there is no answer yet" in before
    assert len(shown) == 2
    for part, where in zip(shown, ("all layers", "layer 1 alone"), strict=True):
        assert where in part
        assert "turn 1  you    my name is Anna" in part and "the template" in part and "█" in part
    assert "there is no layer '3'; they count from 0 to 2" in done.stderr
    assert "there is no layer 'x'" in done.stderr
    assert max(cell_len(line) for part in shown for line in part.splitlines()) <= 80


def test_chat_looks_back_in_a_conversation_that_it_resumes_and_after_an_undo(
    shared_server: ServerProcess, tmp_path: Path
) -> None:
    command = Command(tmp_path, shared_server.base_url)
    settings = ("--temperature", "0", "--max-tokens", "6")
    command("chat", *settings, stdin="my name is Anna\nwho is she?\n").ok()
    done = command("chat", "-c", *settings, stdin="/lookback\n/undo\n/lookback\n")
    done.ok()
    _, resumed, undone = done.stderr.split("what the ")
    assert "turn 2  you    who is she?" in resumed
    assert "who is she?" not in undone.replace("taken back: who is she?", "")
    assert "turn 1  you    my name is Anna" in undone
