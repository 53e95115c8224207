"""A turn's way from HTTP to the model, taken from the stacks of a real one: few files, and no room is entered twice."""

import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest
from tests.support.device import DEVICE
from tests.support.models import TinyModels

import warmturn_server
from warmturn_server.build import build_app
from warmturn_server.chat.transcript.transcript import Transcriber
from warmturn_server.engine import Engine
from warmturn_server.engine.model.lean.executor import LeanExecutor
from warmturn_server.settings import Settings

MOST_FILES = 11
ROOT = Path(warmturn_server.__file__).parent


class Stacks:
    """From the outermost call of ours to a function of interest: the files, when it was called first."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self.seen: dict[str, list[Path]] = {}

    def at(self, owner: type, name: str) -> None:
        inner: Callable[..., Any] = getattr(owner, name)

        def noted(*given: Any, **named: Any) -> Any:
            self.seen.setdefault(name, [Path(inner.__code__.co_filename), *_files(sys._getframe(1))][::-1])
            return inner(*given, **named)

        self._patch.setattr(owner, name, noted)

    @property
    def files(self) -> set[Path]:
        return {path for stack in self.seen.values() for path in stack}


def _files(frame: FrameType | None) -> list[Path]:
    found = list[Path]()
    while frame is not None:
        if (path := Path(frame.f_code.co_filename)).is_relative_to(ROOT):
            found.append(path)
        frame = frame.f_back
    return found


def rooms(stack: list[Path]) -> list[str]:
    return [room for room, _ in groupby(path.relative_to(ROOT).parts[0] for path in stack)]


@pytest.fixture
async def stacks(tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stacks:
    """Of one turn over HTTP: where its prompt is made, where the engine gets it, where attention is computed."""
    chosen = {"device": str(DEVICE), "executor": "lean", "dtype": "float32", "threads": 1, "control_rate": 0.0}
    app = build_app(Settings(model=str(tiny_models()), data_dir=tmp_path, **chosen))  # type: ignore[arg-type]
    stacks = Stacks(monkeypatch)
    for owner, name in ((Transcriber, "transcribe"), (Engine, "submit"), (LeanExecutor, "layer")):
        stacks.at(owner, name)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client,
    ):
        asked = {"model": client.base_url.host, "input": "hello", "max_output_tokens": 2}
        asked["model"] = (await client.get("/v1/models")).json()["data"][0]["id"]
        (await client.post("/v1/responses", json=asked)).raise_for_status()
    return stacks


async def test_a_turn_can_be_read_in_few_files(stacks: Stacks) -> None:
    assert len(stacks.files) <= MOST_FILES, sorted(str(path.relative_to(ROOT)) for path in stacks.files)


async def test_no_room_is_entered_twice(stacks: Stacks) -> None:
    ways = {name: rooms(stack) for name, stack in stacks.seen.items()}
    assert ways == {"transcribe": ["chat"], "submit": ["api", "chat", "engine"], "layer": ["engine"]}
