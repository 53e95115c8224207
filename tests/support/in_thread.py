"""A whole server in this process, where a test can look into it: over real sockets, on a thread of its own."""

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import SecretStr
from tests.support.device import DEVICE, EXECUTOR
from tests.support.http import local_client
from tests.support.models import make_model
from tests.support.waiting import wait_until

from warmturn_server.build import build_app
from warmturn_server.engine import Engine
from warmturn_server.kvcache import RestorePolicy
from warmturn_server.settings import Settings

_TASKS: Final = "/tests/tasks"


class Held(NamedTuple):
    tasks: int
    descriptors: int
    threads: int


@dataclass(frozen=True)
class ServerInThread:
    app: FastAPI
    base_url: str

    @property
    def engine(self) -> Engine:
        engine: Engine = self.app.state.service.engine
        return engine

    def held(self) -> Held:
        """What this process, client and all, holds open at the moment."""
        with self.client() as client:
            return Held(int(client.get(_TASKS).text), len(os.listdir("/proc/self/fd")), threading.active_count())  # noqa: PTH208

    def client(self, timeout_seconds: float = 60) -> httpx.Client:
        return local_client(self.base_url, timeout_seconds)


@contextmanager
def serving(model: Path, data_dir: Path, **settings: object) -> Iterator[ServerInThread]:
    """In float32, with small blocks; it has ended when the block has."""
    chosen: dict[str, object] = {"device": str(DEVICE), "executor": EXECUTOR, "dtype": "float32"}
    chosen |= {"block_size": 8, "control_rate": 0.0}
    app = build_app(Settings(model=str(model), data_dir=data_dir, threads=1, **{**chosen, **settings}))  # type: ignore[arg-type]
    app.add_route(_TASKS, _num_tasks)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
        thread.start()
        try:
            wait_until(lambda: server.started, "the server did not start")
            yield ServerInThread(app, f"http://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def strangers(folder: Path) -> Iterator[tuple[ServerInThread, ServerInThread]]:
    """Two of the same model and secret, which share nothing else. State is restored though so tiny a model computes
    faster than it reads."""
    model, secret = make_model(folder / "model"), SecretStr("of both")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RestorePolicy, "restore_seconds", lambda *_: 0.0)
        with (
            serving(model, folder / "here", log_secret=secret) as here,
            serving(model, folder / "there", log_secret=secret) as there,
        ):
            yield here, there


async def _num_tasks(_: Request) -> Response:
    return PlainTextResponse(str(len(asyncio.all_tasks())))
