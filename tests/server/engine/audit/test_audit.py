"""The running check: state that is wrong and looks right is found out and thrown away; the next turn is right."""

import dataclasses
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.controls import audited, controls_of
from tests.support.engines import greedy, running_engine
from tests.support.exactly import where_it_can_be_kept
from tests.support.faults import flip_highest_exponent_bit, flip_lowest_bits, swap_layers, tamper
from tests.support.models import TinyModels
from tests.support.reference import random_ids

from warmturn_server.data_dir import FileHashes
from warmturn_server.engine import Engine
from warmturn_server.engine.audit import replays
from warmturn_server.engine.model import runner
from warmturn_server.engine.model.batch import Batch
from warmturn_server.engine.model.executor import Work
from warmturn_server.engine_api import Generated, MissReason
from warmturn_server.errors import NoNextToken

FIRST, SECOND, THIRD = (random_ids(random.Random(seed), count) for seed, count in ((1, 60), (2, 10), (3, 10)))
REPLY = 8
TURNS = 12
CLEAN_AUDITS = int(os.environ.get("WARMTURN_TESTS_CLEAN_AUDITS", "200"))
"""Over both number formats and both kinds of control turns. 1000 for the longer run."""
pytestmark = pytest.mark.usefixtures("restoring_always_wins")


@pytest.fixture(params=["float32", "bfloat16"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["shadow", "replace"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def auditing(model: Path, folder: Path, dtype: str, mode: str, *, exact: bool = False) -> Iterator[Engine]:
    settings = {"dtype": dtype, "control_rate": 1.0, "control_mode": mode, "ram_cache": 0, "exact": exact}
    with running_engine(model, folder, **settings) as engine:
        yield engine


def say(engine: Engine, prompt: Sequence[int]) -> Generated:
    return engine.generate(greedy(prompt, REPLY, known_tokens=len(prompt) - len(SECOND) - 1))


def first_turn(model: Path, folder: Path, dtype: str, *, exact: bool = False) -> tuple[int, ...]:
    """Prompt and reply; its state is left on disk."""
    with running_engine(model, folder, dtype=dtype, ram_cache=0, exact=exact) as engine:
        return FIRST + engine.generate(greedy(FIRST, REPLY)).token_ids


def shifted_positions(patch: pytest.MonkeyPatch) -> None:
    """K as if every token stood one place further on."""
    of = Batch.of

    def shifted(step: Sequence[Work]) -> Batch:
        batch = of(step)
        return dataclasses.replace(batch, positions=[position + 1 for position in batch.positions])

    patch.setattr(Batch, "of", shifted)


def wrong_position(models: TinyModels, folder: Path, dtype: str) -> tuple[int, ...]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "refuse_if_wrong", lambda *_: None)
        shifted_positions(patch)
        return first_turn(models(), folder, dtype)


def stale_weights(models: TinyModels, folder: Path, dtype: str) -> tuple[int, ...]:
    """Other weights whose file hashes the same."""
    return first_turn(models(seed=1), folder, dtype)


def altered(change: Any) -> Callable[[TinyModels, Path, str], tuple[int, ...]]:
    def plant(models: TinyModels, folder: Path, dtype: str) -> tuple[int, ...]:
        history = first_turn(models(), folder, dtype)
        with running_engine(models(), folder / "other", dtype=dtype) as engine:
            layout = engine._runner.layout
        assert tamper(folder / "kv", layout, change)
        return history

    return plant


FAULTS = {
    "wrong_position": wrong_position,
    "swapped_layer": altered(swap_layers),
    "stale_weights": stale_weights,
    "exponent_bit": altered(flip_highest_exponent_bit),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_and_what_it_touched_is_gone(
    tiny_models: TinyModels, tmp_path: Path, dtype: str, mode: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileHashes, "of", lambda *_: "the same")
    history = FAULTS[fault](tiny_models, tmp_path, dtype)
    with auditing(tiny_models(), tmp_path, dtype, mode) as engine:
        if (fault, mode) == ("exponent_bit", "shadow"):  # its logits are no numbers: no audit is needed to tell
            with pytest.raises(NoNextToken):
                say(engine, history + SECOND)
            assert say(engine, history + SECOND).report.cached_tokens == 0
            return
        second = say(engine, history + SECOND)
        assert second.report.control is not None
        audits = audited(engine)
        assert (audits["breach"], audits["clean"]) == (1, 0)
        assert audits["recent_breaches"][0]["control"] == second.report.control.id
        assert audits["quarantined_blocks"] > 0
        assert list((tmp_path / "kv").rglob("*.kv")) == []

        third = say(engine, history + SECOND + second.token_ids + THIRD)
        assert third.report.cached_tokens == 0
        assert third.report.miss is not None
        assert third.report.miss.reason is MissReason.CORRUPT
        engine.flush()
        engine.evict_idle()
        fourth = say(engine, history + SECOND + second.token_ids + THIRD + third.token_ids + SECOND)
        if mode == "shadow":
            assert fourth.report.cached_by_tier["disk"] > 0, "what was computed since is saved and used"
        audits = audited(engine, 2)
        assert (audits["breach"], audits["clean"]) == (1, 1)


@pytest.mark.slow
@pytest.mark.timeout(max(300, CLEAN_AUDITS))
def test_sound_state_raises_no_alarm(
    tiny_models: TinyModels, tmp_path: Path, dtype: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conversations of some turns each, from memory and from disk in turn."""
    monkeypatch.setattr(replays, "QUIET_SECONDS", 0.0)
    chance, count, number = random.Random(7), 0, CLEAN_AUDITS // 4
    with auditing(tiny_models(), tmp_path, dtype, mode) as engine:
        while count < number:
            first = random_ids(chance, len(FIRST))
            history = first + say(engine, first).token_ids
            for _ in range(min(number - count, TURNS)):
                engine.flush()
                if count % 2:
                    engine.evict_idle()
                prompt = history + random_ids(chance, chance.randrange(1, 30))
                history = prompt + say(engine, prompt).token_ids
                count += 1
                audits = audited(engine, count)
        assert (audits["clean"], audits["breach"], audits["inconclusive"]) == (number, 0, 0)
        controls = controls_of(engine)["controls"]
        assert (controls["turns"], controls["backlog"]) == ({mode: number}, 0)
        assert audits["noise_floor"] is not None


@pytest.mark.slow
def test_exactly_what_is_sound_is_clean_and_less_than_rounding_is_a_breach(
    tiny_models: TinyModels, tmp_path: Path, dtype: str, mode: str
) -> None:
    """With `--exact` nothing is put down to noise."""
    with where_it_can_be_kept():
        history = first_turn(tiny_models(), tmp_path, dtype, exact=True)
    with auditing(tiny_models(), tmp_path, dtype, mode, exact=True) as engine:
        say(engine, history + SECOND)
        audits = audited(engine)
        assert (audits["clean"], audits["breach"], audits["noise_floor"], audits["last_deviation"]) == (1, 0, 0, 0)
        layout = engine._runner.layout
    assert tamper(tmp_path / "kv", layout, flip_lowest_bits)
    with auditing(tiny_models(), tmp_path, dtype, mode, exact=True) as engine:
        say(engine, history + THIRD)
        audits = audited(engine)
        assert (audits["clean"], audits["breach"]) == (0, 1)
