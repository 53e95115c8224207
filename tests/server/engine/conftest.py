"""One engine over a tiny Llama for all tests that only ask it things, and a fresh one for those that change it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.engines import running_engine
from tests.support.models import TinyModels
from tests.support.reference import Reference

from warmturn_server.engine import Engine, admission
from warmturn_server.kvcache import RestorePolicy

StartEngine = Callable[..., Engine]


@pytest.fixture(scope="session")
def reference(tiny_models: TinyModels) -> Reference:
    """What the tiny Llama really says."""
    return Reference(tiny_models())


@pytest.fixture(scope="package")
def engine(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with running_engine(tiny_models(), tmp_path_factory.mktemp("engine")) as engine:
        yield engine


@pytest.fixture
def start_engine(tiny_models: TinyModels, tmp_path: Path) -> Iterator[StartEngine]:
    """`start_engine(kv_memory=100_000)`: an engine of the test's own."""
    with ExitStack() as engines:

        def start(model: Path | None = None, **settings: object) -> Engine:
            return engines.enter_context(running_engine(model or tiny_models(), tmp_path / "data", **settings))

        yield start


@pytest.fixture
def restoring_always_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models recompute faster than any clock can tell; what is tested here is what restoring brings."""
    monkeypatch.setattr(RestorePolicy, "restore_seconds", lambda *_: 0.0)
    monkeypatch.setattr(admission, "_WORTH_ASKING_SECONDS", 0.0)
