"""What is said of savings: the surest figure first, an estimate as one, and no difference where there may be none."""

from typing import Any

import pytest
from tests.client.fake_server import response

from warmturn.report import TurnReport
from warmturn.savings import of_server, of_turn, of_turns
from warmturn.wire import parse_turn

ESTIMATED = {"value": 9.5, "ci95": [8.0, 11.0], "turns": 20, "unknown_turns": 0}
MEASURED = {"value": 1.5, "ci95": [1.0, 2.0], "turns": 3}
CONTROLLED = {"value": 7.25, "ci95": [6.0, 8.5]}


def written(seconds: float) -> str:
    return f"{seconds:.2f} s"


def sentences(**saved_seconds: Any) -> list[str]:
    controls = saved_seconds.pop("controls", None)
    return [saved.sentence(written) for saved in of_server({"saved_seconds": saved_seconds, "controls": controls})]


def controls(turns: int, **changes: Any) -> dict[str, Any]:
    return {"measured_turns": turns, "saved_seconds": {**CONTROLLED, **changes}}


def test_nothing_known_is_nothing_said() -> None:
    assert of_server({}) == of_server(None) == []
    assert sentences(estimated={"value": None, "ci95": None, "turns": 0}) == []
    assert of_server({"saved_seconds": {"estimated": 3.0}}) == [], "an older server's sum has no interval"


def test_an_estimate_is_called_about() -> None:
    assert sentences(estimated=ESTIMATED) == ["about 9.50 s (8.00 s to 11.00 s), estimated"]


def test_what_was_measured_comes_first() -> None:
    assert sentences(estimated=ESTIMATED, measured=MEASURED) == [
        "1.50 s (1.00 s to 2.00 s) on 3 turns timed twice",
        "about 9.50 s (8.00 s to 11.00 s), estimated",
    ]


def test_what_control_turns_say_of_all_turns_comes_first_once_there_are_enough() -> None:
    first = "7.25 s (6.00 s to 8.50 s) by 5 control turns"
    assert sentences(estimated=ESTIMATED, measured=MEASURED, controls=controls(5))[0] == first
    assert sentences(estimated=ESTIMATED, controls=controls(4))[0].startswith("about")


@pytest.mark.parametrize("bounds", [[-1.0, 20.0], [0.0, 20.0], [-20.0, 0.0]])
def test_an_interval_that_spans_nothing_is_no_clear_difference(bounds: list[float]) -> None:
    (said,) = sentences(estimated={**ESTIMATED, "ci95": bounds})
    assert said.startswith("no clear difference (")
    assert sentences(controls=controls(9, ci95=bounds))[0].startswith("no clear difference (")


def test_a_loss_is_called_one() -> None:
    assert sentences(measured={"value": -2.0, "ci95": None, "turns": 1}) == ["lost 2.00 s on 1 turn timed twice"]


def report(**changes: Any) -> TurnReport:
    return parse_turn(response("x", **changes)).report


def test_turns_add_up_with_their_bounds() -> None:
    one, two = report(), report(saved_ms=100.0, saved_ms_ci95=[-50.0, 250.0])
    total = of_turns([one, two, report(saved_ms=None), report(cached_tokens=0)])
    assert total is not None and total.bounds is not None
    assert [total.seconds, *total.bounds] == pytest.approx([1.5429, 1.3029, 1.7929])
    assert total.amount(written) == "about 1.54 s"
    assert of_turns([report(saved_ms=None)]) is None


def test_a_turn_that_was_computed_in_full_saved_nothing_that_could_be_said() -> None:
    assert of_turn(report(cached_tokens=0, saved_ms=0.0)) is None
