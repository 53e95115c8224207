"""Any server that speaks OpenAI's Chat Completions: it is sent the whole conversation again with every turn."""

from typing import Any

from warmturn.errors import ApiError, WarmturnError
from warmturn.wire import ReuseMode
from warmturn_bench.sample import Reply, TurnFailed, failure
from warmturn_bench.targets.calls import QUESTION, Call, Tried, assistant_calls, the_call
from warmturn_bench.targets.http import Event, Http
from warmturn_bench.targets.tool_deltas import ToolDeltas
from warmturn_bench.workload.functions import Function, in_chat
from warmturn_bench.workload.script import Script, ScriptedTurn

_PATH = "/v1/chat/completions"
Json = dict[str, Any]


class OpenAITarget:
    modes: tuple[ReuseMode, ...] = ("state",)

    def __init__(self, http: Http, model: str, *, ignore_eos: bool) -> None:
        self.url, self.model = http.base_url, model
        self._http = http
        self._body: Json = {"model": model, "temperature": 0.0, **({"ignore_eos": True} if ignore_eos else {})}

    async def begin(self, script: Script, mode: ReuseMode) -> "ResendingDialogue":
        del mode
        return ResendingDialogue(self._http, {**self._body, **in_chat(script.functions)}, script.system)

    async def prompt_tokens(self, text: str) -> int | None:
        reply = await self._http.post(_PATH, {**self._body, "messages": [_message("user", text)], "max_tokens": 1})
        return _count(reply.get("usage"), "prompt_tokens")

    async def try_call(self, functions: tuple[Function, ...], most_tokens: int) -> Tried:
        asked = {"messages": [_message("user", QUESTION)], "max_tokens": most_tokens}
        reply = await self._http.post(_PATH, {**self._body, **in_chat(functions), **asked})
        called = any((choice.get("message") or {}).get("tool_calls") for choice in reply.get("choices") or ())
        usage = reply.get("usage")
        return Tried(called, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))

    async def figures(self) -> Json | None:
        return None

    async def settle(self) -> None:
        """Whatever there is to do, it does not say."""

    async def clean(self) -> None:
        """Nothing is kept there."""

    async def close(self) -> None:
        await self._http.close()


class ResendingDialogue:
    def __init__(self, http: Http, body: Json, system: str) -> None:
        self._http = http
        self._body = {**body, "stream": True, "stream_options": {"include_usage": True}}
        self._messages: list[Json] = [_message("system", system)] if system else []
        self._call: Call | None = None

    async def say(self, turn: ScriptedTurn) -> Reply:
        messages = [*self._messages, _said(self._call, turn.text)]
        body = {**self._body, "messages": messages, "max_tokens": turn.max_output_tokens}
        streamed = Streamed()
        try:
            async for event in self._http.events(_PATH, body):
                streamed.add(event)
        except WarmturnError as error:
            raise failure(error) from error
        reply = streamed.reply()
        self._call = the_call(streamed.calls.made()) if "tools" in self._body else None
        answered = assistant_calls(self._call) if self._call else _message("assistant", streamed.answer)
        self._messages = [*messages, answered]
        return reply


class Streamed:
    """A reply as its chunks come in."""

    def __init__(self) -> None:
        self.answer = ""
        self.calls = ToolDeltas()
        self._text = ""
        self._moments: list[float] = []
        self._usage: Json = {}
        self._ended = 0.0
        self._finished = False

    def add(self, event: Event) -> None:
        _raise_error(event.data)
        self._ended = event.moment
        self._usage = event.data.get("usage") or self._usage
        for choice in event.data.get("choices") or ():
            self._finished |= bool(choice.get("finish_reason"))
            self._add_text(choice.get("delta") or {}, event.moment)

    def reply(self) -> Reply:
        if not self._finished:
            raise TurnFailed("connection broke", "the server ended the stream in the middle of a turn")
        return Reply(
            text=self._text,
            piece_moments=tuple(self._moments),
            ended=self._ended,
            prompt_tokens=_count(self._usage, "prompt_tokens"),
            output_tokens=_count(self._usage, "completion_tokens"),
            cached_tokens=_count(self._usage.get("prompt_tokens_details"), "cached_tokens"),
        )

    def _add_text(self, delta: Json, moment: float) -> None:
        """Thinking is output too, under whichever name a server gives it, but no part of the answer."""
        said = delta.get("content") or ""
        self.answer += said
        called = self.calls.add(delta.get("tool_calls") or ())
        if new := said or called or delta.get("reasoning_content") or delta.get("reasoning"):
            self._text += new
            self._moments.append(moment)


def _count(counts: Any, name: str) -> int | None:
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if isinstance(value, int) else None


def _raise_error(data: Json) -> None:
    if error := data.get("error"):
        raise ApiError(500, error.get("message", "") if isinstance(error, dict) else str(error))


def _said(call: Call | None, text: str) -> Json:
    return {"role": "tool", "tool_call_id": call.call_id, "content": text} if call else _message("user", text)


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}
