"""Promise 4: each reason for a miss, brought about by the very thing it names, with where, what and how much."""

import dataclasses
import errno
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tests.server.engine.conftest import StartEngine
from tests.support.engines import greedy, running_engine
from tests.support.models import TinyModels
from tests.support.reference import random_ids

from warmturn_server.engine import CostModel, Engine
from warmturn_server.engine.miss import explain
from warmturn_server.engine.model.cost_model import Estimate
from warmturn_server.engine_api import GenerationRequest, Miss, MissReason, Reading, Rewrite

PROMPT = random_ids(random.Random(1), 60)
SECOND = random_ids(random.Random(2), 10)
REPLY = 8
KNOWN = len(PROMPT) + REPLY - 1
pytestmark = pytest.mark.usefixtures("restoring_always_wins", "_every_token_costs")


@pytest.fixture
def _every_token_costs() -> Iterator[None]:
    """On a machine that does other things besides, what a few tokens cost may not be known well enough to be told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CostModel, "estimate", lambda _, effort, *_aside: Estimate(*3 * [1e-3 * effort.tokens]))
        yield


def next_turn(engine: Engine) -> Miss | None:
    """The miss of a turn on top of a first one, of which only the tiers still know."""
    first = engine.generate(greedy(PROMPT, REPLY))
    engine.flush()
    engine.evict_idle()
    return miss_after(engine, first.token_ids)


def miss_after(engine: Engine, reply: tuple[int, ...]) -> Miss | None:
    return engine.generate(greedy((*PROMPT, *reply, *SECOND), 2, known_tokens=KNOWN)).report.miss


def reply_of(model: Path, folder: Path, **settings: object) -> tuple[int, ...]:
    """The first turn's reply; its state is left in the folder."""
    with running_engine(model, folder, **settings) as engine:
        return engine.generate(greedy(PROMPT, REPLY)).token_ids


def explained(miss: Miss | None, reason: MissReason, tier: str | None) -> Miss:
    assert miss is not None
    assert (miss.reason, miss.tier) == (reason, tier)
    assert miss.lost_tokens == KNOWN - miss.at_token > 0
    assert miss.cost_ms is not None and miss.cost_ms > 0
    assert (miss.restore_ms is not None) == (reason is MissReason.RECOMPUTE_FASTER)
    return miss


def test_evicted(start_engine: StartEngine) -> None:
    miss = explained(next_turn(start_engine(ram_cache=20_000, disk_cache=0)), MissReason.EVICTED, "ram")
    assert miss.block is not None
    assert miss.at_token % 8 == 0


def test_not_found(start_engine: StartEngine) -> None:
    miss = explained(miss_after(start_engine(), random_ids(random.Random(3), REPLY)), MissReason.NOT_FOUND, None)
    assert (miss.at_token, miss.lost_tokens) == (0, KNOWN)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_corrupt_names_the_very_block(tiny_models: TinyModels, tmp_path: Path) -> None:
    reply = reply_of(tiny_models(), tmp_path)
    files = sorted((tmp_path / "kv").rglob("*.kv"))
    for number, path in enumerate(files):
        copy = Path(shutil.copytree(tmp_path / "kv", tmp_path / f"copy{number}" / "kv"))
        damage(copy / path.relative_to(tmp_path / "kv"))
        with running_engine(tiny_models(), copy.parent) as engine:
            miss = explained(miss_after(engine, reply), MissReason.CORRUPT, "disk")
        assert miss.block == path.stem[:16]
    assert len(files) > 5


def test_fingerprint(tiny_models: TinyModels, tmp_path: Path) -> None:
    model = Path(shutil.copytree(tiny_models(), tmp_path / "model"))
    reply = reply_of(model, tmp_path)
    weights = load_file(model / "model.safetensors")
    weights["lm_head.weight"][5, 5] += 0.01
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with running_engine(model, tmp_path) as engine:
        assert explained(miss_after(engine, reply), MissReason.FINGERPRINT, None).at_token == 0


def test_store_unavailable(start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = start_engine(ram_cache=0)
    reply = engine.generate(greedy(PROMPT, REPLY)).token_ids
    engine.flush()
    engine.evict_idle()
    opens = os.open

    def fail(path: str | Path, *given: int, **named: int) -> int:
        if "/kv/" in str(path):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opens(path, *given, **named)

    monkeypatch.setattr(os, "open", fail)
    explained(miss_after(engine, reply), MissReason.STORE_UNAVAILABLE, "disk")


def test_recompute_faster(start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tier that proved to be slow: its bandwidth, not the decision, is what the test sets."""
    monkeypatch.undo()
    engine = start_engine(ram_cache=0)
    bandwidth = engine._memory.cache.policy.bandwidth["disk"]
    bandwidth.observe(2**20, 3600.0)
    miss = explained(next_turn(engine), MissReason.RECOMPUTE_FASTER, "disk")
    assert miss.restore_ms is not None and miss.cost_ms is not None
    assert miss.restore_ms > miss.cost_ms
    assert miss.block is not None
    assert bandwidth.seconds(2**20) == pytest.approx(0.9 * 3600.0), "doubted once, for the one turn that left it alone"


def rewritten(at_token: int) -> Rewrite:
    was, now = (Reading(token_id, chr(token_id), "before", "after") for token_id in (60, 50))
    return Rewrite(at_token, KNOWN, was, now)


def test_a_new_conversation_that_begins_as_another_did_had_nothing_to_miss(start_engine: StartEngine) -> None:
    request = greedy((*PROMPT, *SECOND), 2, known_tokens=len(PROMPT))
    assert start_engine().generate(dataclasses.replace(request, continues=False)).report.miss is None


def test_what_a_miss_costs_is_told_for_the_lost_tokens_alone() -> None:
    """A step costs something whatever is in it, and the turn needs one anyway."""
    request = greedy((*PROMPT, *SECOND), 2, known_tokens=40)
    asked = list[tuple[int, int]]()

    def cost_seconds(at_token: int, lost: int) -> float:
        asked.append((at_token, lost))
        return 10.0

    miss = explain(request, 30, None, None, cost_seconds, block_size=8)
    assert miss is not None
    assert (miss.lost_tokens, miss.cost_ms, asked) == (10, 10_000, [(30, 10)])


@pytest.mark.parametrize(("foreign", "cached", "lost"), [(41, 0, 40), (41, 30, 10), (500, 0, 69), (41, 40, None)])
def test_state_behind_another_models_tokens_is_lost_to_this_one(foreign: int, cached: int, lost: int | None) -> None:
    request = dataclasses.replace(greedy((*PROMPT, *SECOND), 2), foreign_tokens=foreign)
    miss = explain(request, cached, None, None, lambda *_: None, block_size=8)
    assert (miss and (miss.at_token, miss.reason, miss.lost_tokens)) == (
        lost and (cached, MissReason.FINGERPRINT, lost)
    )


def test_what_a_miss_costs_is_unknown_while_nobody_can_say(
    start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CostModel, "estimate", lambda *_: Estimate(1.0, 0.1, 10.0))
    miss = start_engine().generate(history_rewritten(15)).report.miss
    assert miss is not None
    assert (miss.lost_tokens, miss.cost_ms) == (len(PROMPT) - 1, None)


def history_rewritten(at_token: int) -> GenerationRequest:
    request = greedy((*PROMPT[:at_token], 50, *PROMPT[at_token + 1 :]), 2, known_tokens=at_token)
    return dataclasses.replace(request, rewrite=rewritten(at_token))


def test_history_rewritten(start_engine: StartEngine) -> None:
    engine = start_engine()
    engine.generate(greedy(PROMPT, REPLY))
    miss = engine.generate(history_rewritten(15)).report.miss
    assert miss is not None
    assert (miss.at_token, miss.reason, miss.tier, miss.block) == (15, MissReason.HISTORY_REWRITTEN, None, None)
    assert miss.rewrite == rewritten(15)
    assert miss.lost_tokens == len(PROMPT) - 1 - 15, "the rest of the record had no place in this prompt"


def test_a_rewriting_that_cost_nothing_is_no_miss(start_engine: StartEngine) -> None:
    """Another conversation had said the very same beyond it."""
    engine = start_engine()
    request = history_rewritten(15)
    engine.generate(dataclasses.replace(request, rewrite=None))
    assert engine.generate(request).report.miss is None


def test_a_rewriting_that_others_said_only_a_little_of_is_a_miss_from_there_on(start_engine: StartEngine) -> None:
    """As of a clock in front of everything, which was computed ahead a moment too early."""
    engine = start_engine()
    request = dataclasses.replace(history_rewritten(15), history_tokens=len(PROMPT) - 2)
    engine.generate(greedy((*request.token_ids[:20], 51, 52), 2))
    miss = engine.generate(request).report.miss
    assert miss is not None
    assert (miss.at_token, miss.reason) == (20, MissReason.HISTORY_REWRITTEN)
    assert miss.lost_tokens == len(PROMPT) - 1 - 20


def test_a_rewriting_within_a_block_is_the_reason_that_a_tier_has_no_such_block(start_engine: StartEngine) -> None:
    engine = start_engine()
    engine.generate(greedy(PROMPT, REPLY))
    engine.flush()
    engine.evict_idle()
    miss = engine.generate(history_rewritten(13)).report.miss
    assert miss is not None
    assert (miss.at_token, miss.reason, miss.tier, miss.block) == (8, MissReason.HISTORY_REWRITTEN, None, None)
    assert miss.rewrite == rewritten(13)


def test_what_stopped_reuse_before_the_rewriting_is_the_reason(start_engine: StartEngine) -> None:
    miss = start_engine().generate(history_rewritten(15)).report.miss
    assert miss is not None
    assert (miss.at_token, miss.reason) == (0, MissReason.NOT_FOUND)
    assert miss.rewrite == rewritten(15)


def test_a_miss_is_fit_for_json(start_engine: StartEngine) -> None:
    written = start_engine().generate(history_rewritten(15)).report.as_dict()["miss"]
    assert isinstance(written, dict)
    assert written["rewrite"]["expected"] == {"token_id": 60, "token": "<", "before": "before", "after": "after"}
    assert written["cost_ms"] == round(written["cost_ms"], 3)
