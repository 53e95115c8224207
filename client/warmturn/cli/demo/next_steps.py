"""What somebody who has seen the demo types next."""

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Step:
    command: str
    what_for: str


def after_demo(model: str | None) -> list[Step]:
    """Of an own server with that model, None for the bundled one. As they are typed in this very shell."""
    return [*_activation(), *(_with_a_real_model() if model is None else _with(model))]


def after_demo_at(url: str) -> list[Step]:
    return [*_activation(), Step(f"warmturn chat --url {url}", "talk to it")]


def _with_a_real_model() -> Iterator[Step]:
    yield Step("warmturn chat", "talk to this model; where no server runs, one is started")
    yield Step("warmturn pull smollm2", "bring a real chat model here: 98 MB")
    yield Step("warmturn demo --model smollm2", "the same with that one, in two minutes")


def _with(model: str) -> Iterator[Step]:
    yield Step(f"WARMTURN_MODEL={model} warmturn chat", "talk to this model; where no server runs, one is started")
    yield Step("warmturn watch", "beside it, in another terminal: what is reused, and what that saves")


def _activation() -> Iterator[Step]:
    """Where the shell does not find this installation."""
    ours = Path(sys.executable).parent
    found = shutil.which("warmturn")
    if (ours / "activate").exists() and (found is None or Path(found).parent != ours):
        yield Step(f"source {ours / 'activate'}", "so that the shell finds `warmturn`")
