"""What Serve itself answers reaches clients in OpenAI's shape, and a turn is not said twice."""

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from warmturn_server.ray.trouble import TellTrouble


async def answered(response: ASGIApp, path: str = "/v1/responses") -> httpx.Response:
    transport = httpx.ASGITransport(TellTrouble(response))
    async with httpx.AsyncClient(transport=transport, base_url="http://serve") as client:
        return await client.post(path)


async def test_a_replica_that_died_is_told_of() -> None:
    told = await answered(PlainTextResponse("ActorDiedError: Traceback ...", 500))
    assert (told.status_code, told.json()["error"]["code"]) == (502, "server_gone")
    assert told.headers["x-should-retry"] == "false"
    assert "Traceback" not in told.text


async def test_so_is_one_of_which_nothing_was_heard() -> None:
    """Serve says nothing then, and uvicorn a plain 500."""

    async def silent(scope: Scope, receive: Receive, send: Send) -> None: ...

    told = await answered(silent)
    assert (told.status_code, told.json()["error"]["code"]) == (502, "server_gone")


async def test_without_any_replica_it_is_worth_trying_again() -> None:
    told = await answered(PlainTextResponse("unavailable", 503))
    assert (told.status_code, told.json()["error"]["code"], told.headers["retry-after"]) == (503, "no_server", "2")


@pytest.mark.parametrize(
    "own",
    [
        JSONResponse({"error": {"code": "store_full"}}, 503),
        PlainTextResponse("hi"),
        PlainTextResponse("no", 404),
    ],
)
async def test_what_a_replica_says_is_passed_on(own: Response) -> None:
    told = await answered(own)
    assert (told.status_code, told.content) == (own.status_code, own.body)


async def test_so_is_what_others_in_the_cluster_say() -> None:
    assert (await answered(PlainTextResponse("theirs", 500), "/other")).text == "theirs"
