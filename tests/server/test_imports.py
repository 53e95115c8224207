"""What the server's packages import of each other, and what their classes are made of."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.sources import Sources

SOURCES = Sources(Path(__file__).parents[2] / "server", "warmturn_server")
RECORDS = {
    "CallFormat",
    "Fingerprint",
    "GenerationRequest",
    "Miss",
    "SamplingParams",
    "Turn",
    "TurnReport",
    "TurnRequest",
}
"""Rows and documents: they have as many fields as what they tell of, each filled by its name."""


@pytest.mark.parametrize("package", SOURCES.packages)
def test_nothing_is_imported_in_a_circle(package: str) -> None:
    assert SOURCES.circle_in(package) == set()


def test_nothing_takes_more_than_a_handful_to_make() -> None:
    """What takes more is a record; one that no longer does is to be taken off their list."""
    assert set(SOURCES.long_constructors()) == RECORDS


@pytest.mark.parametrize("package", ["warmturn_server.chat", "warmturn_server.engine_api", "warmturn_server.serve"])
def test_torch_is_loaded_by_what_computes_alone(package: str) -> None:
    """Least of all to say that a port is taken."""
    probe = f"import sys, {package}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0


def test_the_loop_knows_neither_audits_nor_look_backs() -> None:
    loop = set(SOURCES.imports("warmturn_server.engine.loop"))
    assert not [name for name in loop if ".audit" in name or ".lookback" in name]
    text = SOURCES.paths["warmturn_server.engine.loop"].read_text()
    assert "control" not in text.lower()
    assert len(text.splitlines()) < 230, "it is to be read in one sitting"
