"""The API around a fake engine, without a server process."""

import httpx
from tests.server.chat.driver import Chat

from warmturn_server.api import create_app
from warmturn_server.api.access import Access
from warmturn_server.api.caller import principal
from warmturn_server.chat import Principal


class NoMetrics:
    content_type = "text/plain"

    def exposition(self) -> bytes:
        return b""

    def exposition_with_vllm_names(self) -> bytes:
        return b""

    def snapshot(self) -> dict[str, object]:
        return {}

    def http_request(self, route: str, status: int) -> None: ...


def client_of(chat: Chat, caller: Principal | None = None, access: Access = Access()) -> httpx.AsyncClient:  # noqa: B008
    """`caller`: who asks, if it is somebody else than the only one that there is so far."""
    app = create_app(chat.service, NoMetrics(), access=access)
    if caller:
        app.dependency_overrides[principal] = lambda: caller
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")
