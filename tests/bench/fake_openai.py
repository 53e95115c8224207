"""Servers that answer as they are told: a plain one without any extension, and one that says it is Warmturn."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
CALL = [{"index": 0, "id": "call_7", "type": "function", "function": {"name": "read_page", "arguments": '{"page":'}}]
WORDS = ("one ", "two ", "three ", "four")


class FakeServer:
    """`usage` is what the last chunk says; with `calls` it calls functions, on Chat Completions, and says no words;
    `fail` may answer a turn with a status instead, or cut it off (0)."""

    def __init__(self, *, owned_by: str = "somebody", usage: Json | None = None) -> None:
        self.model: Json = {"id": "fake-model", "object": "model", "owned_by": owned_by, "max_model_len": 2048}
        self.usage = usage
        self.fail: Callable[[int], int | None] = lambda _: None
        self.calls = False
        self.asked: list[Json] = []
        self.deleted: list[str] = []
        self.stats: Callable[[], Json] = dict
        self.seconds = 0.0
        self.report: Json = {"reuse": "prompt", "prompt_tokens": 50, "cached_tokens": 0, "prefilled_tokens": 50}
        self.url = ""

    def turns(self) -> list[Json]:
        return [body for body in self.asked if body.get("stream")]

    @contextmanager
    def running(self) -> Iterator[str]:
        with ThreadingHTTPServer(("127.0.0.1", 0), self._handler()) as serving:
            serving.daemon_threads = True
            threading.Thread(target=serving.serve_forever, daemon=True).start()
            self.url = f"http://127.0.0.1:{serving.server_address[1]}"
            yield self.url
            serving.shutdown()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._json({"object": "list", "data": [fake.model]} if self.path == "/v1/models" else fake.stats())

            def do_DELETE(self) -> None:
                fake.deleted.append(self.path)
                self._json({"deleted": True})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                fake.asked.append(body)
                if self.path == "/v1/conversations":
                    self._json({"id": "conv_1"})
                elif not body.get("stream"):
                    self._json({"usage": fake.usage, "warmturn": {}, "choices": [{"message": _message(fake, body)}]})
                else:
                    self._turn(fake.fail(len(fake.turns())))

            def log_message(self, *_: object) -> None:
                """Silence."""

            def _turn(self, status: int | None) -> None:
                if status:
                    self._json({"error": {"message": "no", "type": "x", "param": None, "code": None}}, status)
                    return
                self.send_response(200)
                self.end_headers()
                time.sleep(fake.seconds)
                events = _responses(fake) if self.path == "/v1/responses" else _chunks(fake)
                for event in events[:2] if status == 0 else events:
                    self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())

            def _json(self, body: Json, status: int = 200) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler


def _message(fake: FakeServer, body: Json) -> Json:
    return {"tool_calls": CALL} if fake.calls and body.get("tool_choice") == "required" else {"content": "one"}


def _chunks(fake: FakeServer) -> list[Json]:
    said: list[Json] = [{"content": word} for word in WORDS]
    called: list[Json] = [{"tool_calls": CALL}, {"tool_calls": [{"index": 0, "function": {"arguments": ' "no"}'}}]}]
    deltas: list[Json] = [{"choices": [{"index": 0, "delta": delta}]} for delta in (called if fake.calls else said)]
    end: list[Json] = [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    return [*deltas, *end, *([{"choices": [], "usage": fake.usage}] if fake.usage else [])]


def _responses(fake: FakeServer) -> list[Json]:
    deltas: list[Json] = [{"type": "response.output_text.delta", "delta": word} for word in WORDS]
    reply = {"id": "resp_1", "model": "fake-model", "status": "completed", "output": [], "warmturn": fake.report}
    return [*deltas, {"type": "response.completed", "response": {**reply, "usage": {"output_tokens": 4}}}]
