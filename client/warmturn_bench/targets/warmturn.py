"""This server: turns by conversation id, so that the tokens it generated are reused as they were."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from warmturn.errors import WarmturnError
from warmturn.stream import TextDelta, TurnEnded, parse_event
from warmturn.wire import REUSE_MODES, ReuseMode, Turn, figure_at
from warmturn_bench.sample import Reply, TurnFailed, failure
from warmturn_bench.targets.calls import QUESTION, Call, Tried, the_call
from warmturn_bench.targets.http import Http
from warmturn_bench.workload.functions import Function, in_responses
from warmturn_bench.workload.script import Script, ScriptedTurn

_LOOK_SECONDS = 0.1


class WarmturnTarget:
    modes: tuple[ReuseMode, ...] = REUSE_MODES

    def __init__(self, http: Http, model: str, *, ignore_eos: bool) -> None:
        self.url, self.model = http.base_url, model
        self._http = http
        self._sampling = {"temperature": 0.0, "ignore_eos": ignore_eos}
        self._conversations: list[str] = []

    async def begin(self, script: Script, mode: ReuseMode) -> "WarmturnDialogue":
        system = [{"type": "message", "role": "system", "content": script.system}] if script.system else []
        try:
            made = await self._http.post("/v1/conversations", {"items": system, "metadata": {"title": "bench"}})
        except WarmturnError as error:
            raise failure(error) from error
        self._conversations.append(made["id"])
        body = {"model": self.model, "conversation": made["id"], "reuse": mode, **self._sampling}
        body |= in_responses(script.functions)
        return WarmturnDialogue(self._http, body, mode)

    async def prompt_tokens(self, text: str) -> int | None:
        body = {"model": self.model, "input": text, "store": False, "reuse": "nothing", "max_output_tokens": 1}
        report = (await self._http.post("/v1/responses", body)).get("warmturn") or {}
        tokens = report.get("prompt_tokens")
        return tokens if isinstance(tokens, int) else None

    async def try_call(self, functions: tuple[Function, ...], most_tokens: int) -> Tried:
        body = {"model": self.model, "input": QUESTION, "store": False, "temperature": 0.0, **in_responses(functions)}
        reply = await self._http.post("/v1/responses", {**body, "max_output_tokens": most_tokens})
        called = any(_call(item) for item in reply.get("output") or ())
        usage = (reply.get("usage") or {}).get
        return Tried(called, usage("input_tokens"), usage("output_tokens"))

    async def figures(self) -> dict[str, Any] | None:
        try:
            return await self._http.get("/v1/stats")
        except WarmturnError:
            return None

    async def settle(self) -> None:
        with suppress(WarmturnError):
            while await self._control_turns_waiting():
                await asyncio.sleep(_LOOK_SECONDS)

    async def _control_turns_waiting(self) -> int:
        """Turns that the server still wants to compute once more when it is idle, from their conversations' state."""
        return figure_at(await self._http.get("/v1/stats"), "controls", "backlog") or 0

    async def clean(self) -> None:
        with suppress(WarmturnError):  # a server that is gone keeps them
            for conversation in self._conversations:
                await self._http.delete(f"/v1/conversations/{conversation}")

    async def close(self) -> None:
        await self._http.close()


class WarmturnDialogue:
    def __init__(self, http: Http, body: dict[str, Any], mode: ReuseMode) -> None:
        self._http = http
        self._body = body
        self._mode = mode
        self._call: Call | None = None

    async def say(self, turn: ScriptedTurn) -> Reply:
        said = [_result(self._call, turn.text)] if self._call else turn.text
        body = {**self._body, "input": said, "max_output_tokens": turn.max_output_tokens, "stream": True}
        pieces: list[tuple[str, float]] = []
        calls: list[Call] = []
        try:
            async for event in self._http.events("/v1/responses", body):
                match parse_event(event.data):
                    case TextDelta(text) if text:
                        pieces.append((text, event.moment))
                    case TurnEnded(ended):
                        self._call = the_call(calls) if "tools" in self._body else None
                        return self._reply(pieces, event.moment, ended)
                    case None:
                        pieces.extend((text, event.moment) for text in _called(event.data))
                        calls.extend(_ended_call(event.data))
        except WarmturnError as error:
            raise failure(error) from error
        raise TurnFailed("connection broke", "the server ended the stream in the middle of a turn")

    def _reply(self, pieces: list[tuple[str, float]], ended: float, turn: Turn) -> Reply:
        """A turn that was to be computed and was not would make the whole comparison worthless: it counts as failed."""
        report = turn.report
        if self._mode != "state" and (report.cached_tokens or report.reuse != self._mode):
            said = f"asked for reuse {self._mode}, the server reused {report.cached_tokens} tokens ({report.reuse})"
            raise TurnFailed("not recomputed", said)
        return Reply(
            text="".join(text for text, _ in pieces),
            piece_moments=tuple(moment for _, moment in pieces),
            ended=ended,
            prompt_tokens=report.prompt_tokens,
            output_tokens=turn.output_tokens,
            cached_tokens=report.cached_tokens,
            cached_by_tier=report.cached_by_tier,
            saved_ms=report.saved_ms,
            saved_ms_ci95=report.saved_ms_ci95,
            miss=report.miss.reason if report.miss else None,
        )


def _result(call: Call, text: str) -> dict[str, str]:
    return {"type": "function_call_output", "call_id": call.call_id, "output": text}


def _called(event: dict[str, Any]) -> Iterator[str]:
    """What an event of the stream adds to a call: its name comes first."""
    match event:
        case {"type": "response.output_item.added", "item": {"type": "function_call", "name": str(name)}} if name:
            yield name
        case {"type": "response.function_call_arguments.delta", "delta": str(text)} if text:
            yield text


def _ended_call(event: dict[str, Any]) -> Iterator[Call]:
    if event.get("type") == "response.output_item.done" and (call := _call(event.get("item") or {})):
        yield call


def _call(item: dict[str, Any]) -> Call | None:
    """None of what is no call, or was not written to its end."""
    if item.get("type") != "function_call" or item.get("status") != "completed":
        return None
    return Call(item["call_id"], item["name"], item["arguments"])
