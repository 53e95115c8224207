"""A hub of models on this machine, as far as its client asks."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

REVISION: Final = "a" * 40


class Hub(ThreadingHTTPServer):
    """`files` by repository and name. `cut_after`: so many bytes of a file are sent, then the connection breaks, once.

    `asked_from` notes where each download of a file began.
    """

    def __init__(self, files: dict[str, dict[str, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files = files
        self.cut_after: int | None = None
        self.num_cut = 0
        self.asked_from: list[tuple[str, int]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        if found := re.match(r"/api/models/([^/]+/[^/]+)/(revision|tree)/", self.path):
            self._send_listing(self.server.files.get(found[1]), found[1], as_tree=found[2] == "tree")
        elif found := re.match(r"/([^/]+/[^/]+)/resolve/[^/]+/([^?]+)", self.path):
            self._send_file(self.server.files.get(found[1], {}).get(found[2]), found[2], with_body=with_body)
        else:
            self._refuse()

    def _send_listing(self, files: dict[str, bytes] | None, repository: str, *, as_tree: bool) -> None:
        if files is None:
            return self._refuse()
        tree = [{"type": "file", "path": name, "size": len(data), "oid": _etag(data)} for name, data in files.items()]
        siblings = [{"rfilename": name} for name in files]
        info = {"id": repository, "modelId": repository, "sha": REVISION, "siblings": siblings}
        body = json.dumps(tree if as_tree else info).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    def _send_file(self, content: bytes | None, name: str, *, with_body: bool) -> None:
        if content is None:
            return self._refuse()
        span = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(span[1]) if span else 0
        self.send_response(206 if span else 200)
        self.send_header("ETag", f'"{_etag(content)}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Accept-Ranges", "bytes")
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if with_body:
            self.server.asked_from.append((name, start))
            self._write(content[start:])
        return None

    def _write(self, content: bytes) -> None:
        cut, self.server.cut_after = self.server.cut_after, None
        if cut is None or cut >= len(content):
            self.server.cut_after = cut
            self.wfile.write(content)
        else:
            self.wfile.write(content[:cut])
            self.server.num_cut += 1
            self.close_connection = True

    def _refuse(self) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def running_hub(files: dict[str, dict[str, bytes]]) -> Iterator[Hub]:
    with Hub(files) as hub:
        thread = Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
