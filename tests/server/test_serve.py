"""The server around the application, without a process of its own."""

import asyncio
import gc
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
import uvicorn

from warmturn_server.chat import ChatService
from warmturn_server.connection import Door
from warmturn_server.serve import _Server


@pytest.fixture(autouse=True)
def _unfrozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


async def nothing(*_: Any) -> None: ...


def test_what_it_starts_with_is_not_looked_through_for_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else full collections, which alone find what is old, come seldom and take long."""
    monkeypatch.setattr(uvicorn.Server, "startup", nothing)
    server = _Server(uvicorn.Config(nothing), cast(ChatService, SimpleNamespace()), Door(1), drain_seconds=0)
    asyncio.run(server.startup())
    assert gc.get_freeze_count() > 10_000
