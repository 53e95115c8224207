"""Saved state on its way back."""

import threading
from pathlib import Path

import pytest
import torch
from pydantic import SecretStr
from tests.support.engines import greedy, running_engine
from tests.support.models import TinyModels
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

from warmturn_server.kvcache import KVBuffer, SpareMemory, buffer

PROMPT = tuple(range(5, 165))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which threads asked for memory."""
    asked, populate = list[str](), KVBuffer.populate

    def noted(buffer: KVBuffer) -> None:
        populate(buffer)
        asked.append(threading.current_thread().name)

    monkeypatch.setattr(KVBuffer, "populate", noted)
    return asked


@pytest.mark.usefixtures("restoring_always_wins")
@pytest.mark.parametrize("much", [0, 2**40])
def test_much_memory_is_asked_for_beside_it(
    tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str], much: int
) -> None:
    monkeypatch.setattr(buffer, "MUCH_BYTES", much)
    with running_engine(tiny_models(), tmp_path, ram_cache=0) as engine:
        first = engine.generate(greedy(PROMPT, 8))
        assert asked == []
        engine.flush()
        engine.evict_idle()
        again = engine.generate(greedy(PROMPT, 8))
        assert again.report.cached_by_tier["disk"] > 100
        assert again.token_ids == first.token_ids
    assert asked == ([] if much else ["warmturn-populating_0"])


@pytest.mark.usefixtures("restoring_always_wins")
def test_memory_that_is_spare_need_not_be_asked_for(
    tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    taken, take = list[int](), SpareMemory.take

    def noted(spare: SpareMemory, num_bytes: int) -> torch.Tensor | None:
        piece = take(spare, num_bytes)
        taken.extend([num_bytes] if piece is not None else [])
        return piece

    monkeypatch.setattr(buffer, "MUCH_BYTES", 1)
    monkeypatch.setattr("warmturn_server.kvcache.spare.MUCH_BYTES", 1)
    monkeypatch.setattr(SpareMemory, "take", noted)
    with running_engine(tiny_models(), tmp_path, ram_cache=0) as engine:
        first = engine.generate(greedy(PROMPT, 8))
        engine.flush()
        engine.evict_idle()
        wait_until(lambda: engine._memory.pool.has_spare, "no memory was asked for")
        taken.clear()
        again = engine.generate(greedy(PROMPT, 8))
        assert again.report.cached_by_tier["disk"] > 100
        assert again.token_ids == first.token_ids
    assert taken and asked == []


@pytest.mark.usefixtures("restoring_always_wins")
def test_it_is_for_what_comes_over_a_network_too(
    tiny_models: TinyModels,
    tmp_path: Path,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[str],
) -> None:
    monkeypatch.setattr(buffer, "MUCH_BYTES", 0)
    shared: dict[str, object] = {"redis": SecretStr(redis_server.url), "redis_wait_ms": 60_000.0}
    with running_engine(tiny_models(), tmp_path / "one", **shared) as one:
        one.generate(greedy(PROMPT, 8))
        one.flush()
    asked.clear()
    with running_engine(tiny_models(), tmp_path / "other", **shared) as other:
        assert other.generate(greedy(PROMPT, 8, known_tokens=150)).report.cached_by_tier["redis"] > 100
    assert asked == ["warmturn-populating_0"]
