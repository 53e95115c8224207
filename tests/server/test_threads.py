"""Only the engine's thread has helpers: with one pool of OpenMP threads more, all of them stop waiting awake."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from warmturn_server.threads import compute_with, on_a_thread_of_its_own

COUNT = """
import os, sys, threading
from pathlib import Path
from warmturn_server.threads import compute_with, on_a_thread_of_its_own
import torch

def native():
    return len(os.listdir("/proc/self/task")) - threading.active_count()

def product():
    compute_with(3)
    torch.ones(512, 512) @ torch.ones(512, 512)
    return native()
"""
NEEDED = "print(on_a_thread_of_its_own(product))"
SERVED = """
from warmturn_server.build import build_engine
from warmturn_server.engine_api import GenerationRequest, LookbackRequest, SamplingParams
from warmturn_server.settings import Settings

engine = build_engine(Settings(data_dir=Path(sys.argv[1]), threads=3, ram_cache=0))
engine.start()
restorers = engine._restorer._threads
numbers = [restorers.submit(torch.get_num_threads).result() for _ in range(4)]
assert numbers == [1] * 4, numbers
prompt = tuple(range(5, 905))
for turn in range(3):
    look = LookbackRequest((0,) * 400 + (1,) * 500, 3, frozenset())
    asked = GenerationRequest(prompt, SamplingParams(max_tokens=4, temperature=0.0), lookback=look)
    done = engine.generate(asked)
    engine.flush()
    engine.evict_idle()
    assert not turn or done.report.cached_by_tier["disk"], done.report
    assert done.lookback
print(native())
engine.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux shows them")
def test_saving_restoring_and_looking_back_have_no_helpers(tmp_path: Path) -> None:
    """After all of that there are no more threads than one product on one thread makes."""
    assert run(COUNT + SERVED, tmp_path) == run(COUNT + NEEDED, tmp_path)


def test_how_many_is_a_matter_of_the_calling_thread() -> None:
    """Also where it computes for the first time after another thread has set another number."""
    said, go_on, seen = threading.Event(), threading.Event(), list[int]()

    def alone() -> None:
        compute_with(1)
        said.set()
        go_on.wait()
        torch.ones(300, 300).exp_()
        seen.append(torch.get_num_threads())

    def with_three() -> int:
        said.wait()
        compute_with(3)
        go_on.set()
        thread.join()
        return torch.get_num_threads()

    thread = threading.Thread(target=alone)
    thread.start()
    assert on_a_thread_of_its_own(with_three) == 3
    assert seen == [1]


def test_what_a_thread_of_its_own_raises_arrives() -> None:
    with pytest.raises(ZeroDivisionError):
        on_a_thread_of_its_own(lambda: 1 // 0)


def run(code: str, folder: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)
