"""What a look-back says is what the model's own attention says, weight for weight."""

import dataclasses
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from tests.support.engines import all_at_once, greedy, running_engine
from tests.support.models import SERVED, TinyModels
from tests.support.reference import Reference, random_ids

from warmturn_server.engine import Engine
from warmturn_server.engine_api import Generated, GenerationRequest, Lookback, LookbackRequest, ReuseMode, Seen

TOLERANCE = 1e-5
PROMPT, OUTPUT = 60, 14
GROUPS = tuple((0, 0, 1, 2, 1, 2, 0, 3, 0, 3)[position // 6] for position in range(PROMPT))
"""Owners in stretches, some that come back; group 3 is the last to begin."""
ASKED = LookbackRequest(GROUPS, num_groups=4, earlier=frozenset({1, 2}))


@dataclass(frozen=True)
class Case:
    engine: Engine
    reference: Reference
    prompt: tuple[int, ...]


@pytest.fixture(scope="module", params=SERVED)
def case(
    request: pytest.FixtureRequest, tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    model = tiny_models(request.param)
    with running_engine(model, tmp_path_factory.mktemp(request.param)) as engine:
        yield Case(engine, Reference(model), random_ids(random.Random(5), PROMPT))


def looking(prompt: tuple[int, ...], reuse: ReuseMode = ReuseMode.STATE, tokens: int = OUTPUT) -> GenerationRequest:
    return dataclasses.replace(greedy(prompt, tokens, reuse), lookback=ASKED)


def expected(case: Case, said: Generated) -> tuple[torch.Tensor, torch.Tensor]:
    """Means over heads `[layers, looks, tokens]`, and what went to no token `[layers, looks]`."""
    attentions = case.reference.attentions(case.prompt + said.token_ids)
    mean = attentions.mean(1)[:, PROMPT - 1 : -1, :-1]
    return mean, 1 - mean.sum(-1)


def by_group(weights: torch.Tensor, sinks: torch.Tensor) -> torch.Tensor:
    """`[..., groups + 2]`."""
    owners = torch.tensor(GROUPS + (4,) * (weights.shape[-1] - PROMPT))
    columns = [weights[..., owners == group].sum(-1) for group in range(5)]
    return torch.stack([*columns, sinks], dim=-1)


def close(got: object, wanted: torch.Tensor) -> bool:
    table = torch.tensor(got, dtype=torch.float32)
    assert table.shape == wanted.shape
    return float((table - wanted).abs().max()) < TOLERANCE


def assert_best(got: tuple[Seen, ...], wanted: torch.Tensor, count: int) -> None:
    """The `count` largest of `wanted`, best first; which of two equals is named does not matter."""
    best = wanted.topk(count).values
    assert close([seen.share for seen in got], best)
    assert close([float(wanted[seen.position]) for seen in got], best)
    assert len({seen.position for seen in got}) == count


def assert_equal_to_eager(case: Case, said: Generated) -> None:
    assert said.lookback is not None
    weights, sinks = expected(case, said)
    shares = by_group(weights, sinks)
    assert close([layer.shares for layer in said.lookback.layers], shares.mean(1))
    assert close([look.shares for look in said.lookback.looks], shares.mean(0))
    assert [look.position for look in said.lookback.looks] == list(range(PROMPT - 1, PROMPT - 1 + OUTPUT))
    owned = torch.tensor([group > 0 for group in GROUPS] + [False] * (OUTPUT - 1))
    for layer, said_of_it in enumerate(said.lookback.layers):
        assert_best(said_of_it.top, torch.where(owned, weights[layer].mean(0), 0), 8)
    for number, look in enumerate(said.lookback.looks):
        assert_best(look.top, torch.where(owned, weights[:, number].mean(0), 0), 3)
    assert_depths_equal(said.lookback, weights, shares)


def assert_depths_equal(lookback: Lookback, weights: torch.Tensor, shares: torch.Tensor) -> None:
    earlier = torch.tensor([group in ASKED.earlier for group in GROUPS] + [False] * (OUTPUT - 1))
    for number, look in enumerate(lookback.looks):
        for layer, depth in enumerate(look.by_layer):
            most = shares[layer, number, 1:3].max()
            if depth is None:
                assert most == 0, "it saw none of them"
            else:
                assert close([depth.share, float(shares[layer, number, depth.group])], most.expand(2))
                assert_best((depth.token,), torch.where(earlier, weights[layer, number], 0), 1)


def test_a_look_back_equals_the_models_own_eager_attention(case: Case) -> None:
    for reuse in (ReuseMode.STATE, ReuseMode.STATE, ReuseMode.PROMPT, ReuseMode.NOTHING):
        assert_equal_to_eager(case, case.engine.generate(looking(case.prompt, reuse)))


@pytest.mark.usefixtures("restoring_always_wins")
def test_it_does_after_the_state_came_back_from_a_tier(case: Case) -> None:
    case.engine.generate(greedy(case.prompt, 1))
    case.engine.flush()
    case.engine.evict_idle()
    said = case.engine.generate(looking(case.prompt))
    assert said.report.cached_by_tier["ram"] > 0
    assert_equal_to_eager(case, said)


def test_shares_sum_to_one_in_every_layer(case: Case) -> None:
    lookback = case.engine.generate(looking(case.prompt)).lookback
    assert lookback is not None
    tables = [layer.shares for layer in lookback.layers] + [look.shares for look in lookback.looks]
    assert all(abs(sum(shares) - 1) < TOLERANCE and min(shares) >= 0 for shares in tables)


def test_only_a_model_with_sinks_gives_them_a_share(case: Case, request: pytest.FixtureRequest) -> None:
    lookback = case.engine.generate(looking(case.prompt)).lookback
    assert lookback is not None
    has_sinks = request.node.callspec.params["case"] == "gpt_oss"
    assert [layer.shares[-1] > 0 for layer in lookback.layers] == [has_sinks] * 3


def test_a_short_window_sees_no_earlier_turn(case: Case, request: pytest.FixtureRequest) -> None:
    lookback = case.engine.generate(looking(case.prompt)).lookback
    assert lookback is not None
    blind = {"mistral_sliding": (0, 1, 2), "gemma2": (0, 2), "gemma3": (0, 2), "gpt_oss": (0, 2)}
    expected = blind.get(request.node.callspec.params["case"], ())
    for look in lookback.looks:
        assert [layer for layer, depth in enumerate(look.by_layer) if depth is None] == list(expected)


def test_others_in_the_same_batch_do_not_show(case: Case) -> None:
    others = [greedy(random_ids(random.Random(number), 30 + number), 20) for number in range(3)]
    alone = case.engine.generate(looking(case.prompt))
    said = all_at_once(case.engine, [others[0], looking(case.prompt), *others[1:]])[1]
    assert said.token_ids == alone.token_ids
    assert_equal_to_eager(case, said)
