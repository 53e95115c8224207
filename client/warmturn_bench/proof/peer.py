"""The server that is asked, restarted and asked again."""

import asyncio
import time

from warmturn.errors import ApiError, ProtocolError, ServerUnreachable, WarmturnError
from warmturn_bench.proof.answers import Answer, Json, Prompt
from warmturn_bench.targets.http import Http

_PATH = "/v1/chat/completions"
_LOOK_SECONDS = 0.05
READY_SECONDS = 900.0
"""Large models take minutes to load."""


class Peer:
    """Asked one prompt at a time: in a batch with others, many servers round otherwise."""

    def __init__(self, http: Http, model: str) -> None:
        self.url, self.model = http.base_url, model
        self._http = http
        self._tells_tokens = True

    async def ask(self, prompt: Prompt) -> Answer:
        """Greedy. Raises `WarmturnError`."""
        return await self._ask([*prompt.messages], prompt.max_tokens)

    async def _ask(self, messages: list[dict[str, str]], max_tokens: int) -> Answer:
        body: Json = {"model": self.model, "messages": messages, "max_tokens": max_tokens, "temperature": 0.0}
        if self._tells_tokens:
            try:
                return _read(await self._http.post(_PATH, {**body, "logprobs": True}))
            except ApiError as error:
                if not 400 <= error.status < 500:
                    raise
                answer = _read(await self._http.post(_PATH, body))  # or it is something else that is refused
                self._tells_tokens = False
                return answer
        return _read(await self._http.post(_PATH, body))

    async def is_up(self) -> bool:
        try:
            await self._http.get("/v1/models")
        except WarmturnError:
            return False
        return True

    async def await_down(self) -> None:
        """Until it does not answer; never, where that is not to be seen."""
        while await self.is_up():
            await asyncio.sleep(_LOOK_SECONDS)

    async def await_ready(self) -> None:
        """Until it answers a question. Raises `ServerUnreachable` when that takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                await self._ask([{"role": "user", "content": "Are you there?"}], 1)
                return
            except WarmturnError as error:
                if time.monotonic() >= deadline:
                    raise ServerUnreachable(
                        f"{self.url} did not answer within {READY_SECONDS:.0f} s after its restart: {error}"
                    ) from error
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        await self._http.close()


def _read(completion: Json) -> Answer:
    try:
        return Answer.of(completion)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"what the server answered is no chat completion: {error!r}") from error
