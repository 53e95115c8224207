"""Fixtures for all tests: tiny models, made once a session, and real server processes that serve them."""

import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from safetensors.torch import load_file, save_file
from tests.support.launch import Launch, forked
from tests.support.models import END_OF_TEXT, IM_END, TinyModels
from tests.support.redis_server import RedisServer
from tests.support.server import ServerProcess

StartServer = Callable[..., ServerProcess]
PROCESSES = ("ServerProcess", "StartServer", "RedisServer", "RedisCluster", "Browser", "Fleet", "Command")
"""Named by fixtures that start one."""
MAX_WORKERS = 4
"""Each has servers, a browser and models of its own in memory."""

# Run in the background of a script, tests inherit that Ctrl-C is ignored, by `nohup` that a closed terminal is, and so
# would the programs they interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Models are tiny here: helpers take longer to wake than to compute, and burn what other tests need while they wait.
torch.set_num_threads(1)

# How long an example takes says more about the machine than about the code.
settings.register_profile("warmturn", deadline=None)
settings.load_profile("warmturn")


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> TinyModels:
    """`tiny_models("qwen3", template="dated")` gives the folder of a small random model."""
    return TinyModels(tmp_path_factory.mktemp("models"))


@pytest.fixture
def start_server(tiny_models: TinyModels, tmp_path: Path) -> Iterator[StartServer]:
    """`start_server("--block-size", "8", model=..., data_dir=...)`: a server process of the test's own."""
    with ExitStack() as servers:

        def start(
            *options: str,
            model: Path | None = None,
            data_dir: Path | None = None,
            environment: dict[str, str] | None = None,
            launch: Launch = forked,
        ) -> ServerProcess:
            folder = data_dir or tmp_path / "data"
            server = ServerProcess(model or tiny_models(), folder, *options, environment=environment, launch=launch)
            return servers.enter_context(server)

        yield start


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, without persistence."""
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="session")
def shared_server(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that neither stop it nor depend on what it holds."""
    data_dir = tmp_path_factory.mktemp("shared") / "data"
    with ServerProcess(tiny_models(), data_dir, "--block-size", "8") as server:
        yield server


@pytest.fixture(scope="session")
def endless_model(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that never ends a reply by itself."""
    model = Path(shutil.copytree(tiny_models(), tmp_path_factory.mktemp("endless") / "model"))
    weights = load_file(model / "model.safetensors")
    weights["lm_head.weight"][[END_OF_TEXT, IM_END]] = 0
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    return model


@pytest.fixture(scope="session")
def endless_server(endless_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Of that model: somebody has to stop it."""
    with ServerProcess(endless_model, tmp_path_factory.mktemp("endless-data")) as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before the choice by `-m`: what needs a process is slow, however soon it is over once that runs."""
    for item in items:
        if any(process in made for made in _made_for(item) for process in PROCESSES):
            item.add_marker(pytest.mark.slow)


def _made_for(item: pytest.Item) -> Iterator[str]:
    """What the fixtures of a test say they make."""
    info: Any = getattr(item, "_fixtureinfo", None)
    for definitions in info.name2fixturedefs.values() if info else ():
        yield str(definitions[-1].func.__annotations__.get("return"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """All tests use the processors that there are; whoever names a few gets them in this very process."""
    is_everything = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return min(os.cpu_count() or 1, MAX_WORKERS) if is_everything else 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its servers wrote on stderr."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if isinstance(value, ServerProcess):
                report.sections.append((f"stderr of {name}", value.stderr()))
    return report
