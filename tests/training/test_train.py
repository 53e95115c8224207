"""Training that goes on from weights, and that knows when its time is over."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from warmturn_mini.batches import Mix
from warmturn_mini.recipe import FROM_NOISE, GOING_ON, Rates, Recipe, Shape
from warmturn_mini.train import WARM_STEPS, Machine, Plan, Progress, Trainer, loss_of, share_of_rate

SMALL = Shape(hidden=192, layers=2, heads=3, mlp=64)
RECIPE = Recipe(Rates(matrices=0.01, others=0.01), (Mix(length=128, rows=2, max_facts=3, drills=0.0, skipped=0.5),))
STEP_TOKENS = 2 * 128


def trainer(work_dir: Path, seed: int) -> Trainer:
    return Trainer(SMALL, RECIPE, seed, Machine(torch.device("cpu"), workers=0, compiled=False), work_dir)


def loss(trainer: Trainer) -> float:
    return loss_of(trainer.model, trainer.body, trainer.batches[0]).item()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    first = trainer(folder / "work", seed=1)
    first.run(Plan(tokens=12 * STEP_TOKENS, seconds=math.inf))
    first.export(folder / "weights")
    return folder / "weights"


def test_training_goes_on_from_weights_and_learns(trained: Path, tmp_path: Path) -> None:
    fresh, goes_on = trainer(tmp_path / "fresh", seed=2), trainer(tmp_path / "on", seed=2)
    goes_on.start_from(trained)
    before = loss(goes_on)
    assert before < loss(fresh) - 0.5
    goes_on.run(Plan(tokens=12 * STEP_TOKENS, seconds=math.inf))
    assert loss(goes_on) < before


def test_a_resumed_run_goes_on_from_its_own_checkpoint(trained: Path, tmp_path: Path) -> None:
    started = trainer(tmp_path, seed=2)
    started.start_from(trained)
    started.run(Plan(tokens=2 * STEP_TOKENS, seconds=math.inf))
    assert loss(trainer(tmp_path, seed=2)) == loss(started)


def test_a_step_of_going_on_reads_a_sixteenth() -> None:
    def step_tokens(recipe: Recipe) -> set[int]:
        return {mix.length * mix.rows for mix in recipe.mixes}

    assert step_tokens(FROM_NOISE) == {65_536}
    assert step_tokens(GOING_ON) == {4_096}


def shares(speeds: Iterator[float], seconds: float) -> list[float]:
    """The rate at each step on a machine that reads so many tokens a second at each."""
    now, progress, found = 0.0, Progress(), []
    plan = Plan(tokens=0, seconds=seconds, clock=lambda: now)
    progress.total_tokens = plan.total_tokens(progress)
    while not plan.is_over(progress):
        found.append(share_of_rate(progress))
        now += STEP_TOKENS / next(speeds)
        progress.step += 1
        progress.tokens += STEP_TOKENS
        progress.total_tokens = plan.total_tokens(progress)
    return found


@pytest.mark.parametrize("slower", [1, 3])
def test_the_rate_is_at_zero_when_the_time_is_over_also_on_a_machine_that_becomes_slower(slower: int) -> None:
    speeds = (1000.0 if step < 1000 else 1000.0 / slower for step in range(10**6))
    found = shares(speeds, seconds=600)
    assert found[0] < 0.01 and max(found) == 1.0
    assert found[WARM_STEPS + 200] == 1.0
    assert found[-1] < 0.01
    assert sorted(found[-200:], reverse=True) == found[-200:]
