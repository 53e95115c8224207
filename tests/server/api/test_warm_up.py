"""What is there once the server says that it is ready."""

import sys
from pathlib import Path
from types import FrameType

import httpx
import pytest
from pydantic import ByteSize
from tests.support.models import TinyModels

from warmturn_server.build import build_app
from warmturn_server.settings import Settings

_MANY_CALLS = 1000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"input": "Hello!", "max_output_tokens": 16}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 2}),
    ],
)
async def test_the_first_request_does_little_more_than_the_next(
    tiny_models: TinyModels, tmp_path: Path, path: str, body: dict[str, object]
) -> None:
    """Counted are calls on the event loop's thread: where routes are made for it they are tens of thousands."""
    settings = Settings(
        model=str(tiny_models()), data_dir=tmp_path, threads=1, kv_memory=ByteSize(2**26), ram_cache=ByteSize(2**22)
    )
    app = build_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            first, _, third = [await calls_for(client, path, body) for _ in range(3)]
    assert third > _MANY_CALLS
    assert first < 4 * third


async def calls_for(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> int:
    count = 0

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        reply = await client.post(path, json=body)
    finally:
        sys.setprofile(None)
    assert reply.status_code == httpx.codes.OK, reply.text
    return count
