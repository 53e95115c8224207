"""OpenAI's own client on a real server process."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from tests.server.chat.driver import Chat
from tests.support.server import ServerProcess


@pytest.fixture(scope="session")
def openai_client(shared_server: ServerProcess) -> Iterator[OpenAI]:
    """Strict: a reply that is not exactly as OpenAI's is an error here. It does not retry."""
    url = f"{shared_server.base_url}/v1"
    with OpenAI(base_url=url, api_key="none", max_retries=0, _strict_response_validation=True) as client:
        yield client


@pytest.fixture(scope="session")
def model(openai_client: OpenAI) -> str:
    return openai_client.models.list().data[0].id


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    """A chat service whose answers, and failures, the test chooses."""
    chat = Chat(tmp_path)
    yield chat
    chat.service.close()
