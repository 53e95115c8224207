"""The API around a fake engine, without a server process."""

import httpx
from tests.server.chat.driver import Chat

from warmturn_server.api import create_app


class NoMetrics:
    content_type = "text/plain"

    def exposition(self) -> bytes:
        return b""

    def exposition_with_vllm_names(self) -> bytes:
        return b""

    def snapshot(self) -> dict[str, object]:
        return {}

    def http_request(self, route: str, status: int) -> None: ...


def client_of(chat: Chat) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(chat.service, NoMetrics()), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")
