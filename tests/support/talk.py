"""A conversation over HTTP, with the token ids that the server really used."""

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Self

import httpx
from tests.support.tokenizer import as_shown

INCLUDE = ["warmturn.token_ids"]
Json = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """One turn's reply."""

    id: str
    text: str
    prompt: tuple[int, ...]
    output: tuple[int, ...]
    report: Json

    @classmethod
    def of(cls, response: Json) -> Self:
        report = response["warmturn"]
        return cls(
            response["id"],
            response["output"][0]["content"][0]["text"],
            tuple(report["prompt_token_ids"]),
            tuple(report["output_token_ids"]),
            report,
        )

    @property
    def token_ids(self) -> tuple[int, ...]:
        return self.prompt + self.output

    @property
    def known(self) -> tuple[int, ...]:
        """What the next prompt begins with: all that was shown, but for the last token, which was only chosen."""
        return tuple(as_shown(self.token_ids)[:-1])

    @property
    def cached(self) -> int:
        return int(self.report["cached_tokens"])


class Talk:
    """One conversation on the server: `Talk.begin(client).say("hello").output`."""

    def __init__(self, client: httpx.Client, conversation_id: str) -> None:
        self.client, self.id = client, conversation_id

    @classmethod
    def begin(cls, client: httpx.Client) -> Self:
        return cls(client, checked(client.post("/v1/conversations", json={}))["id"])

    def say(self, text: str, **options: object) -> Said:
        return Said.of(checked(self.client.post("/v1/responses", json=self.body(text, **options))))

    def stream(self, text: str, **options: object) -> Generator[Json]:
        """The events of a streamed turn, one by one."""
        body = self.body(text, stream=True, **options)
        with self.client.stream("POST", "/v1/responses", json=body) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    yield json.loads(line.removeprefix("data: "))

    def body(self, text: str, **options: object) -> Json:
        common: Json = {"conversation": self.id, "input": text, "temperature": 0, "max_output_tokens": 24}
        return {**common, "include": INCLUDE, **options}

    def texts(self) -> list[str]:
        """What the log says, oldest first: user and assistant in turn."""
        items = checked(self.client.get(f"/v1/conversations/{self.id}/items", params={"order": "asc", "limit": 100}))
        assert not items["has_more"]
        return [item["content"][0]["text"] for item in items["data"]]

    def fork(self, item_id: str | None = None) -> "Talk":
        body = {} if item_id is None else {"item_id": item_id}
        return Talk(self.client, checked(self.client.post(f"/v1/conversations/{self.id}/fork", json=body))["id"])


def respond(client: httpx.Client, **body: object) -> Said:
    """A turn outside of any conversation."""
    common: Json = {"temperature": 0, "max_output_tokens": 24, "include": INCLUDE}
    return Said.of(checked(client.post("/v1/responses", json={**common, **body})))


def await_saved(client: httpx.Client) -> None:
    """Until all that is to be saved so far is: a deletion comes after it in every tier, and is waited for."""
    said = respond(client, input="Is all of that saved?", max_output_tokens=1)
    checked(client.delete(f"/v1/responses/{said.id}"))


def checked(response: httpx.Response) -> Json:
    assert response.status_code == 200, response.text
    decoded: Json = response.json()
    return decoded
