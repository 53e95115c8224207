"""Saved state on its way back."""

import threading
from pathlib import Path

import pytest
from tests.support.engines import greedy, running_engine
from tests.support.models import TinyModels

from warmturn_server.engine import restorer
from warmturn_server.kvcache import KVBuffer

PROMPT = tuple(range(5, 165))


@pytest.mark.usefixtures("restoring_always_wins")
@pytest.mark.parametrize("much", [0, 2**40])
def test_much_memory_is_asked_for_beside_it(
    tiny_models: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, much: int
) -> None:
    asked, populate = list[str](), KVBuffer.populate

    def noted(buffer: KVBuffer) -> None:
        populate(buffer)
        asked.append(threading.current_thread().name)

    monkeypatch.setattr(KVBuffer, "populate", noted)
    monkeypatch.setattr(restorer, "_MUCH_BYTES", much)
    with running_engine(tiny_models(), tmp_path, ram_cache=0) as engine:
        first = engine.generate(greedy(PROMPT, 8))
        assert asked == []
        engine.flush()
        engine.evict_idle()
        again = engine.generate(greedy(PROMPT, 8))
        assert again.report.cached_by_tier["disk"] > 100
        assert again.token_ids == first.token_ids
    assert asked == ([] if much else ["warmturn-populating_0"])
