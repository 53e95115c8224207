"""Models that transformers serves in ways of its own: token for token what its `generate` says, in every mode."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from tests.support.engines import greedy, running_engine
from tests.support.models import END_OF_TEXT, IM_END, ODD, SEEING, TinyModels
from tests.support.reference import random_ids
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from warmturn_server.engine import Engine
from warmturn_server.engine_api import ReuseMode

REPLY_TOKENS: Final = 6


def loaded(folder: Path, *, sees: bool) -> Any:
    auto = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    return auto.from_pretrained(folder, dtype=torch.float32).eval()  # type: ignore[no-untyped-call]


def generated(model: Any, prompt: Sequence[int]) -> tuple[int, ...]:
    """No end token among them."""
    ids = torch.tensor([list(prompt)])
    never = [[END_OF_TEXT], [IM_END]]
    options = {"do_sample": False, "max_new_tokens": REPLY_TOKENS, "bad_words_ids": never, "pad_token_id": END_OF_TEXT}
    return tuple(model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, len(prompt) :].tolist())


def answered(engine: Engine, prompt: Sequence[int], known: int, mode: ReuseMode) -> tuple[int, ...]:
    return engine.generate(greedy(prompt, REPLY_TOKENS, mode, known_tokens=known)).token_ids


@pytest.mark.parametrize("architecture", [*SEEING, *ODD])
def test_of_text_alone(tiny_models: TinyModels, tmp_path: Path, architecture: str) -> None:
    """Two turns, longer than a short window, with a restart between them."""
    folder, chance = tiny_models(architecture), random.Random(3)
    model = loaded(folder, sees=architecture in SEEING)
    first = random_ids(chance, 30)
    said = generated(model, first)
    second = (*first, *said, *random_ids(chance, 7))
    with running_engine(folder, tmp_path) as engine:
        assert answered(engine, first, 0, ReuseMode.STATE) == said
    with running_engine(folder, tmp_path) as engine:
        restored = engine.generate(greedy(second, REPLY_TOKENS, known_tokens=len(first) + len(said)))
        assert restored.report.cached_by_tier["disk"] >= len(first)
        expected = generated(model, second)
        assert restored.token_ids == expected
        for mode in (ReuseMode.PROMPT, ReuseMode.NOTHING):
            assert answered(engine, second, 0, mode) == expected


def test_beyond_where_a_longrope_changes_over(tiny_models: TinyModels, tmp_path: Path) -> None:
    """Its short factors reach 64 tokens. Asked for more, it is rotated by the long ones from the first token on."""
    folder, prompt = tiny_models("longrope"), random_ids(random.Random(5), 100)
    model, short = loaded(folder, sees=False), prompt[:40]
    with running_engine(folder, tmp_path) as engine:
        assert engine.context_length == 64
        assert answered(engine, short, 0, ReuseMode.STATE) == generated(model, short)
    expected = generated(model, prompt)
    with running_engine(folder, tmp_path, max_context=1000) as engine:
        assert engine.context_length == 1000
        by_short_factors = engine.generate(greedy(short, 1, known_tokens=40)).report.cached_tokens
        assert (by_short_factors, answered(engine, prompt, 0, ReuseMode.STATE)) == (0, expected)
    with running_engine(folder, tmp_path, max_context=1000) as engine:
        again = engine.generate(greedy(prompt, REPLY_TOKENS, known_tokens=len(prompt)))
        assert (again.token_ids, again.report.cached_by_tier["disk"] > 64) == (expected, True)
