"""How the tests look at replies of OpenAI's client."""

from typing import Any

from openai import APIStatusError, OpenAI
from openai.types.responses import Response

SETTINGS: dict[str, Any] = {"max_output_tokens": 12, "temperature": 0}
TOKEN_IDS = {"include": ["warmturn.token_ids"]}


def extension(reply: Any) -> dict[str, Any]:
    """The object `warmturn` of a reply."""
    found: dict[str, Any] = reply.model_extra["warmturn"]
    return found


def say(client: OpenAI, text: str, /, **options: Any) -> Response:
    reply: Response = client.responses.create(**{"input": text, "extra_body": TOKEN_IDS, **SETTINGS, **options})
    return reply


def code_of(error: APIStatusError) -> tuple[int, str | None, str | None]:
    return error.status_code, error.code, error.param


def part_of(item: Any) -> Any:
    """The first part of an item's content, which has a type for each kind that OpenAI knows."""
    return item.content[0]
