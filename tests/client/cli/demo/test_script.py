"""What the user says in the demo."""

import sys

import pytest

import warmturn_server.bundled
from warmturn.cli.demo.script import BUNDLED_MODEL, GENERIC_SCRIPT, Line, bundled_script, script_for


def test_an_answer_is_right_when_it_contains_what_is_expected() -> None:
    line = Line("What does my sister make?", ("Odile", "violin"))
    assert line.answered_by("ODILE makes violins.")
    assert not line.answered_by("She makes violins.")


def test_the_generic_script_tells_before_it_asks() -> None:
    assert len(GENERIC_SCRIPT) >= 12
    for number, line in enumerate(GENERIC_SCRIPT):
        told = " ".join(earlier.user for earlier in GENERIC_SCRIPT[:number]).casefold()
        assert all(word.casefold() in told for word in line.expect)


def test_the_bundled_script_goes_with_the_bundled_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert BUNDLED_MODEL == warmturn_server.bundled.NAME
    assert script_for(BUNDLED_MODEL) == bundled_script() != GENERIC_SCRIPT
    assert script_for("other") == GENERIC_SCRIPT
    monkeypatch.setitem(sys.modules, "warmturn_server", None)
    monkeypatch.setitem(sys.modules, "warmturn_server.bundled", None)
    assert script_for(BUNDLED_MODEL) == GENERIC_SCRIPT
