"""`/openapi.json`: what its readers go by. That answers are as it says, the fault suite's requests show."""

from typing import Any

import pytest
import schemathesis
from schemathesis.checks import CHECKS, load_all_checks
from tests.server.api.in_process import client_of
from tests.server.chat.driver import Chat
from tests.support.server import ServerProcess

from warmturn_server.api.access import Access


async def described(chat: Chat, access: Access) -> dict[str, Any]:
    async with client_of(chat, access=access) as client:
        schema: dict[str, Any] = (
            await client.get("/openapi.json", headers={"Authorization": f"Bearer {access.api_key}"})
        ).json()
    return schema


def operations(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {found["operationId"]: found for path in schema["paths"].values() for found in path.values()}


async def test_failures_have_the_statuses_and_the_shape_that_they_have(chat: Chat) -> None:
    schema = await described(chat, Access())
    for operation in operations(schema).values():
        assert "422" not in operation["responses"]
        shape = operation["responses"]["400"]["content"]["application/json"]["schema"]
        assert shape == {"$ref": "#/components/schemas/Failed"}
    assert "HTTPValidationError" not in schema["components"]["schemas"]


@pytest.mark.parametrize("key", ["a key", None])
async def test_a_key_is_asked_for_where_one_is_needed(chat: Chat, key: str | None) -> None:
    schema = await described(chat, Access(api_key=key))
    secured = {name for name, operation in operations(schema).items() if operation.get("security") == [{"key": []}]}
    assert ("conversations_get" in secured) is (key is not None)
    assert "operations_health" not in secured
    assert ("securitySchemes" in schema["components"]) is (key is not None)


async def test_links_lead_to_operations_that_take_what_they_give(chat: Chat) -> None:
    schema = await described(chat, Access())
    known, given = operations(schema), 0
    for answer in (found["responses"]["200"] for found in known.values()):
        for link in answer.get("links", {}).values():
            ((parameter, value),) = link["parameters"].items()
            assert parameter in {taken["name"] for taken in known[link["operationId"]]["parameters"]}
            shape = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            assert value.removeprefix("$response.body#/") in schema["components"]["schemas"][shape]["required"]
            given += 1
    assert given > 10


_ASKED: dict[str, dict[str, Any]] = {
    "/v1/responses": {"input": "hello"},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hello"}]},
}


@pytest.mark.parametrize("path", _ASKED)
def test_streams_are_as_described(shared_server: ServerProcess, path: str) -> None:
    schema = schemathesis.openapi.from_url(f"{shared_server.base_url}/openapi.json")
    load_all_checks()
    check: Any = CHECKS.get_one("response_schema_conformance")
    case = schema[path]["POST"].Case(
        body={**_ASKED[path], "stream": True, "temperature": 0}, media_type="application/json"
    )
    reply = case.call()
    assert reply.headers["content-type"][0].startswith("text/event-stream")
    case.validate_response(reply, checks=[check])
