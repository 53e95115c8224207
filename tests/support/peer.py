"""A little server of other make, as a process: `python -m tests.support.peer STATE PORT`, until it is killed.

What it answers follows from the prompt alone; unless STATE says otherwise, a JSON object: `starts` (how often it was
started), and what is wrong with it: `wrong_after_restart` (it answers some prompts otherwise from its second start on),
`moody` (it never answers the second conversation twice the same way), `no_logprobs` (it refuses to tell tokens),
`fails_after_restart`.
"""

import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

Json = dict[str, Any]
_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_moods = count()


def main() -> None:
    state, port = Path(sys.argv[1]), int(sys.argv[2])
    told: Json = json.loads(state.read_text())
    told["starts"] = told.get("starts", 0) + 1
    state.write_text(json.dumps(told))
    ThreadingHTTPServer(("127.0.0.1", port), _handler(told)).serve_forever()


def _handler(told: Json) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._json({"data": [{"id": "little", "owned_by": "somebody", "max_model_len": 4096}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            restarted = told["starts"] > 1
            if body.get("logprobs") and told.get("no_logprobs"):
                self._json({"error": {"message": "no logprobs here", "code": "unsupported"}}, 400)
            elif restarted and told.get("fails_after_restart") and len(body["messages"]) > 3:
                self._json({"error": {"message": "the state is broken"}}, 500)
            else:
                self._json(_completion(body, told, wrong=restarted and bool(told.get("wrong_after_restart"))))

        def log_message(self, *_: object) -> None:
            """Silence."""

        def _json(self, body: Json, status: int = 200) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


def _completion(body: Json, told: Json, *, wrong: bool) -> Json:
    """After a restart only prompts with a history are wrong, and only in the fourth token: as a bad cache does it."""
    said = json.dumps(body["messages"]).encode()
    digest = hashlib.sha256(said).digest()
    words = [_WORDS[byte % len(_WORDS)] + " " for byte in digest[: min(body["max_tokens"], 12)]]
    if wrong and len(body["messages"]) > 3:
        words[3:4] = ["zero "]
    if told.get("moody") and len(body["messages"]) == 2:
        words[:1] = [f"{next(_moods)} "]
    choice: Json = {"index": 0, "message": {"role": "assistant", "content": "".join(words)}, "finish_reason": "stop"}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [{"token": word, "logprob": -0.5} for word in words]}
    return {"choices": [choice], "usage": {"prompt_tokens": len(said) // 4, "completion_tokens": len(words)}}


if __name__ == "__main__":
    main()
