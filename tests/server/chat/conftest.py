"""A chat service on a fake engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.server.chat.driver import Chat


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    chat = Chat(tmp_path)
    yield chat
    chat.service.close()
