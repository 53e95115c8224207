"""The compiled kernels neither read nor write beyond what they are given, at the edges of all their shapes."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.programs import program

from warmturn_server.engine.model import compiled

CHECKED = Path(__file__).parents[3] / "support" / "native" / "kernels_in_bounds.cpp"
SOURCES = Path(compiled.__file__).parent
EMULATED_AMX = CHECKED.with_name("emulated_amx.h")


@pytest.mark.slow
@pytest.mark.parametrize("flags", [["-DNUMBER=bf16"], ["-DNUMBER=float"], ["-DNUMBER=bf16", "-include", EMULATED_AMX]])
def test_they_stay_within_their_memory(tmp_path: Path, flags: Sequence[str | Path]) -> None:
    built = tmp_path / "checked"
    common = ("-O1", "-march=native", "-std=c++17", "-fopenmp", "-fsanitize=address,undefined")
    subprocess.run([program("c++"), *common, *flags, f"-I{SOURCES}", CHECKED, "-o", built], check=True)
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "OMP_NUM_THREADS": "2"}
    ran = subprocess.run([built], capture_output=True, text=True, env=environment)
    assert (ran.stdout, ran.stderr) == ("fine\n", "")
