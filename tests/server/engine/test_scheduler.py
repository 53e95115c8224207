"""Who is next in line, and who is in the next step."""

from typing import cast

import pytest

from warmturn_server.engine.scheduler import Scheduler, WaitingLines
from warmturn_server.engine.sequence import Sequence


class Request:
    def __init__(self, tenant: str) -> None:
        self.tenant = tenant


class Waiting:
    """As much of a sequence as a line looks at."""

    is_held_back = restoring = False
    last_scheduled = 0.0

    def __init__(self, tenant: str, number: int) -> None:
        self.request = Request(tenant)
        self.name = f"{tenant}{number}"
        self.num_pending = number


def lines_of(tenants: str) -> WaitingLines:
    lines = WaitingLines()
    for number, tenant in enumerate(tenants, 1):
        lines.add(cast(Sequence, Waiting(tenant, number)))
    return lines


def served(lines: WaitingLines) -> str:
    order = list[str]()
    while (sequence := lines.first) is not None:
        order.append(cast(Waiting, sequence).name)
        lines.remove(sequence)
    return " ".join(order)


@pytest.mark.parametrize(
    ("arrived", "order"),
    [
        ("", ""),
        ("aaa", "a1 a2 a3"),
        ("aaab", "a1 b4 a2 a3"),
        ("aabbc", "a1 b3 c5 a2 b4"),
        ("baaa", "b1 a2 a3 a4"),
    ],
)
def test_first_come_first_served_and_the_lines_of_tenants_take_turns(arrived: str, order: str) -> None:
    assert served(lines_of(arrived)) == order


def test_who_gives_up_is_not_waited_for() -> None:
    lines = lines_of("aab")
    lines.remove(next(sequence for sequence in lines if cast(Waiting, sequence).name == "a2"))
    assert len(lines) == 2
    assert served(lines) == "b3 a1"


def test_one_that_is_over_is_gone_wherever_it_was() -> None:
    scheduler = Scheduler(8)
    first, second = (cast(Sequence, Waiting("a", number)) for number in (1, 2))
    for sequence in (first, second):
        scheduler.add(sequence)
    scheduler.start(first)
    assert (scheduler.running, scheduler.next_waiting) == ([first], second)
    for sequence in (first, second, first):
        assert (sequence in scheduler) == (sequence is not first or bool(scheduler.running))
        scheduler.remove(sequence)
    assert not scheduler.busy


@pytest.mark.parametrize(
    ("step_tokens", "pending", "steps"),
    [
        (1000.0, (1, 60, 60, 60), "1+60+60+60"),  # a GPU's, or many cores'
        (100.0, (1, 60, 60, 60), "1+60+60 1+60"),
        (10.0, (1, 60, 60, 60), "1+60 1+60 1+60"),
        (10.0, (4, 4, 4, 60, 1), "1+4+4+4 1+60"),  # nobody waits for what is nothing
        (10.0, (300, 60), "200 60 100"),  # in chunks of the budget, and the others between
        (1000.0, (300, 60), "200 60+100"),
    ],
)
def test_a_step_takes_prompts_until_the_next_would_keep_them_waiting(
    step_tokens: float, pending: tuple[int, ...], steps: str
) -> None:
    scheduler = Scheduler(200, lambda: step_tokens)
    waiting = [Waiting("a", number) for number in pending]
    scheduler.running = [cast(Sequence, each) for each in waiting]
    seen = list[str]()
    while any(each.num_pending > 1 for each in waiting):
        plan = [(cast(Waiting, sequence), count) for sequence, count in scheduler.plan()]
        seen.append("+".join(str(count) for _, count in plan))
        for each, count in plan:
            each.num_pending = max(each.num_pending - count, 1 if each.num_pending == 1 else 0)
            each.last_scheduled = float(len(seen))
    assert " ".join(seen) == steps
