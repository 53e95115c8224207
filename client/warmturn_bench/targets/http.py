"""HTTP of the load test: asynchronous, with the moment at which each event came in."""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from warmturn.sse import SSEParser
from warmturn.stream import json_event
from warmturn.transport import api_error, authorization, checked_url, json_object, translated, trusted

_TIMEOUT = httpx.Timeout(600.0, connect=5.0)
_NO_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=64)
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    data: Json
    moment: float


class Http:
    def __init__(self, base_url: str, api_key: str | None) -> None:
        self.base_url = checked_url(base_url)
        headers = authorization(api_key)
        self._client = httpx.AsyncClient(
            base_url=self.base_url, headers=headers, timeout=_TIMEOUT, limits=_NO_LIMITS, verify=trusted(self.base_url)
        )

    async def get(self, path: str) -> Json:
        return await self._json("GET", path)

    async def post(self, path: str, body: Mapping[str, Any]) -> Json:
        return await self._json("POST", path, json=body)

    async def delete(self, path: str) -> Json:
        return await self._json("DELETE", path)

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Event]:
        """The stream's events up to its end; the moment is when the bytes that completed the event were read."""
        with translated(self.base_url):
            async with self._client.stream("POST", path, json=body) as response:
                if response.is_error:
                    await response.aread()
                    raise api_error(response)
                parser = SSEParser()
                async for chunk in response.aiter_bytes():
                    moment = time.perf_counter()
                    for event in parser.feed(chunk):
                        if event.data != "[DONE]":
                            yield Event(json_event(event.data), moment)

    async def close(self) -> None:
        await self._client.aclose()

    async def _json(self, method: str, path: str, **request: Any) -> Json:
        with translated(self.base_url):
            response = await self._client.request(method, path, **request)
        if response.is_error:
            raise api_error(response)
        return json_object(response)
