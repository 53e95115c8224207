"""The page in a real browser, on a real server with the bundled model."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from tests.server.api.page.browser import Visit, chromium
from tests.support.models import TinyModels
from tests.support.server import ServerProcess

StartVisit = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for each module: while Playwright is open, no other event loop can run on this thread."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def bundled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(Path("bundled"), tmp_path_factory.mktemp("bundled") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def locked_server(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Its key is `open sesame`."""
    data_dir = tmp_path_factory.mktemp("locked") / "data"
    with ServerProcess(tiny_models(), data_dir, environment={"WARMTURN_API_KEY": "open sesame"}) as server:
        yield server


@pytest.fixture(scope="module")
def functions(browser: Browser, bundled_server: ServerProcess) -> Iterator[Page]:
    """A page of which nothing but the functions of its modules is asked: one for all who do."""
    visitor = Visit(browser, bundled_server.base_url)
    yield visitor.open()
    assert visitor.complaints == []
    visitor.context.close()


@pytest.fixture
def visit(browser: Browser, bundled_server: ServerProcess) -> Iterator[StartVisit]:
    """`visit().open()`; at the end nobody may have had anything to complain about."""
    with ExitStack() as closing:
        visits: list[Visit] = []

        def start(url: str = bundled_server.base_url, **options: Any) -> Visit:
            visits.append(Visit(browser, url, **options))
            closing.callback(visits[-1].context.close)
            return visits[-1]

        yield start
        assert [visit.complaints for visit in visits] == [[] for _ in visits]
