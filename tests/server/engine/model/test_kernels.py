"""The compiled kernels neither read nor write beyond what they are given, at the edges of all their shapes."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.programs import program

from warmturn_server.engine.model import compiled

CHECKED = Path(__file__).parents[3] / "support" / "native" / "kernels_in_bounds.cpp"
SOURCES = Path(compiled.__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize("number", ["bf16", "float"])
def test_they_stay_within_their_memory(tmp_path: Path, number: str) -> None:
    built = tmp_path / "checked"
    flags = ("-O1", "-march=native", "-std=c++17", "-fopenmp", "-fsanitize=address,undefined", f"-DNUMBER={number}")
    subprocess.run([program("c++"), *flags, f"-I{SOURCES}", CHECKED, "-o", built], check=True)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "OMP_NUM_THREADS": "2"}
    ran = subprocess.run([built], capture_output=True, text=True, env=environment)
    assert (ran.stdout, ran.stderr) == ("fine\n", "")
