"""Who is asked what and when: the same work for every mode, in fair order."""

import asyncio
import time
from itertools import islice
from random import Random
from typing import get_type_hints

import pytest
from tests.bench.making import MODES, PlainScripts

from warmturn.errors import SettingsError
from warmturn.wire import REUSE_MODES
from warmturn_bench.cli import bench
from warmturn_bench.load import ClosedLoop, OpenLoop, in_turn
from warmturn_bench.memory import small_memory
from warmturn_bench.options import LoadOptions, Options, ServerOptions, WorkloadOptions
from warmturn_bench.plan import Part, Plan, mode_order
from warmturn_bench.workload.scenario import SCENARIOS
from warmturn_bench.workload.script import ScenarioScripts, Sizes

SIZES = Sizes(tokens_per_word=1.5, frame_tokens=8, context_tokens=4096)


def test_every_mode_has_every_place_as_often() -> None:
    orders = [mode_order(MODES, 1, number) for number in range(6)]
    for place in range(3):
        assert sorted(order[place] for order in orders) == sorted(MODES * 2)


def test_conversations_are_played_once_each() -> None:
    rounds = list(Plan(PlainScripts(), conversations=5, together=2).rounds())
    assert [[part.script.conversation for part in one.parts] for one in rounds] == [[0, 1], [2, 3], [4]]
    assert all((part.first, part.last) == (0, 3) for one in rounds for part in one.parts)


def test_in_rounds_everybody_has_a_turn_before_anybody_has_the_next() -> None:
    rounds = list(Plan(PlainScripts(turns=4), 3, 1, in_rounds=True).rounds())
    assert [[(part.first, part.last) for part in one.parts] for one in rounds] == [[(n, n + 1)] * 3 for n in range(4)]
    assert [one.half_way for one in rounds] == [False, False, True, False]


def test_without_an_end_there_are_always_new_conversations() -> None:
    plan = Plan(PlainScripts(), None, together=2)
    seen = [part.script.conversation for one in islice(plan.rounds(), 10) for part in one.parts]
    assert seen == list(range(20))
    assert plan.num_turns is None


def test_the_same_seed_says_the_same_and_another_one_does_not() -> None:
    first, again, other = (ScenarioScripts(SCENARIOS["chat"], 5, seed, SIZES) for seed in (1, 1, 2))
    assert first.script(3) == again.script(3)
    assert first.script(3) != other.script(3)
    assert first.script(3).system == first.script(4).system
    assert first.script(3).turns[0].text != first.script(4).turns[0].text


@pytest.mark.parametrize("name", list(SCENARIOS))
@pytest.mark.parametrize("context", [1024, 4096, 32_768])
def test_a_conversation_never_outgrows_the_context(name: str, context: int) -> None:
    scripts = ScenarioScripts(SCENARIOS[name], 50, 1, Sizes(1.5, 8, context))
    for number in range(20):
        script = scripts.script(number)
        assert script.turns
        assert script.tokens <= context


def test_conversations_in_rounds_go_on_until_the_time_is_up_or_the_context_is_full() -> None:
    asked = WorkloadOptions(scenario="idle", duration=1.0)
    script = ScenarioScripts(asked.kind, asked.num_turns, 1, SIZES).script(0)
    assert len(script.turns) > asked.kind.turns
    assert script.tokens > 0.8 * SIZES.context_tokens


def test_a_closed_loop_has_so_many_turns_under_way_and_no_more() -> None:
    under_way = most = 0

    async def play(*_: object) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1

    parts = [Part(PlainScripts().script(number), 0, 3) for number in range(8)]
    asyncio.run(ClosedLoop(3).run(parts, play, Random(1)))
    assert most == 3


def test_a_clients_turns_follow_each_other() -> None:
    played: list[tuple[int, int]] = []

    async def play(part: Part, turn: int, _: float) -> None:
        played.append((part.script.conversation, turn))

    parts = [Part(PlainScripts().script(number), 0, 3) for number in range(2)]
    asyncio.run(ClosedLoop(1).run(parts, play, Random(1)))
    assert played == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


def test_an_open_loop_counts_from_when_a_turn_was_due() -> None:
    """Turns come on although nothing is answered, and what is late because of that is not called early."""
    due: list[float] = []
    stuck = 0.3

    async def play(_: Part, __: int, moment: float) -> None:
        due.append(moment)
        await asyncio.sleep(stuck)

    parts = [Part(PlainScripts().script(0), 0, 3)]
    began = time.perf_counter()
    asyncio.run(OpenLoop(rate=1000).run(parts, play, Random(1)))
    assert time.perf_counter() - began >= 3 * stuck
    assert max(due) - began < stuck


def test_in_an_open_loop_conversations_take_turns() -> None:
    parts = [Part(PlainScripts().script(0), 0, 3), Part(PlainScripts().script(1), 0, 2)]
    assert [(part.script.conversation, turn) for part, turn in in_turn(parts)] == [
        (0, 0),
        (1, 0),
        (0, 1),
        (1, 1),
        (0, 2),
    ]


def test_many_clients_get_enough_conversations_to_be_busy() -> None:
    plan = Options(load=LoadOptions(clients=16)).plan(PlainScripts())
    assert plan.conversations is not None
    assert plan.conversations >= 3 * 16
    assert all(len(one.parts) == 16 for one in plan.rounds())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(load=LoadOptions(clients=2, rate=1.0)), "--clients or --rate"),
        (Options(WorkloadOptions(turns=2, duration=1.0)), "--turns or --duration"),
        (Options(server=ServerOptions(url="http://x", dtype="float32")), "--url or --dtype"),
        (Options(WorkloadOptions("restart", turns=1)), "--turns 2 or more"),
        (Options(modes="state,magic"), "magic"),
        (Options(modes=""), "is empty"),
        (Options(WorkloadOptions("agent"), ignore_eos=True), "leave --ignore-eos out"),
    ],
)
def test_what_does_not_go_together_is_refused(options: Options, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        options.check()


def test_memory_for_few_conversations_holds_them_all_and_that_is_said() -> None:
    scripts = ScenarioScripts(SCENARIOS["idle"], 4, 1, SIZES)
    few, many = (small_memory([scripts.script(number) for number in range(count)], clients=2) for count in (2, 24))
    assert few.share > 1 > many.share
    assert "holds all of the conversations' state" in few.in_words
    assert f"holds {many.share:.0%} of the conversations' state; the rest is on disk" in many.in_words


def test_one_client_is_one() -> None:
    assert LoadOptions(clients=1).in_words == "closed loop, 1 client"
    assert LoadOptions(clients=2).in_words == "closed loop, 2 clients"


def test_modes_have_one_order_however_they_are_given() -> None:
    assert Options(modes="prompt, state").wanted_modes() == ("state", "prompt")


def test_the_help_says_the_defaults() -> None:
    """In words, because what was not said and what was said as it is by default are told apart."""
    hints = get_type_hints(bench, include_extras=True)
    said = {name: str(hints[name].__metadata__[0].help) for name in ("scenario", "clients", "modes")}
    assert f"default {WorkloadOptions().kind.name}." in said["scenario"]
    assert f"default {LoadOptions().num_clients}." in said["clients"]
    assert f"default {','.join(REUSE_MODES)} " in said["modes"]
