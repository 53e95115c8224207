"""A server that all share, and two ways to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.client.command import Command
from tests.support.server import ServerProcess

from warmturn import Client


@pytest.fixture
def command(shared_server: ServerProcess, tmp_path: Path) -> Command:
    return Command(tmp_path, shared_server.base_url)


@pytest.fixture
def client(shared_server: ServerProcess) -> Iterator[Client]:
    with Client(shared_server.base_url) as client:
        yield client
