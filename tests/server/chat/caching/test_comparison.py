"""Why a prompt's state was not reused, in OpenAI's words, and only where they are true."""

from dataclasses import replace
from typing import Any

import pytest
from tests.server.chat.making import item, turn

from warmturn_server.chat import Item, ItemId, Turn, TurnRequest
from warmturn_server.chat.caching.comparison import Compared, compare
from warmturn_server.chat.parts import ToolResult
from warmturn_server.chat.transcript.records import Record

BEFORE = Record((1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6), "abcdef")
"""Four tokens of a prompt, and two of a reply."""
SAID = [item("user", "hello")]
AFTER = [*SAID, item("assistant", "hi"), item("user", "and?")]
BRIEF = TurnRequest((), instructions="be good")


def earlier(**echo: object) -> Turn:
    made = turn("resp_1")
    assert made.reply is not None
    return replace(made, reply=replace(made.reply, echo=echo))


def compared(
    ids: tuple[int, ...],
    items: list[Item],
    request: TurnRequest = BRIEF,
    dropped: int = 0,
    before: Turn | None = None,
    model: str = "model",
) -> Compared | None:
    return compare(request, (items, ids, dropped), [before or earlier()], BEFORE, model)


def report(prompt: int, cached: int) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "cached_tokens": cached}


def test_a_prompt_that_goes_on_from_it_has_nothing_changed() -> None:
    assert compared((1, 2, 3, 4, 5, 6, 7), AFTER) == Compared(4, 6)
    assert compared((1, 2, 3, 4), SAID) == Compared(4, 4), "the same once more"
    assert compared((1, 2, 3, 4, 9), AFTER) == Compared(4, 4), "another reply was put in its place"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"items": [item("user", "goodbye")]}, "input_changed"),
        ({"request": replace(BRIEF, instructions="be bad")}, "input_changed"),
        ({"items": []}, "input_changed"),
        ({"dropped": 2}, "context_compacted"),
        ({"before": earlier(reasoning={"effort": "high"})}, "reasoning_effort_changed"),
        ({"before": earlier(tools=[{"name": "f"}])}, "tools_changed"),
        ({"model": "another"}, "model_changed"),
        ({}, None),
    ],
)
def test_what_parts_two_prompts(change: dict[str, Any], why: str | None) -> None:
    """Without any of them the template does, which is no reason of theirs."""
    found = compared((1, 2, 9), **{"items": SAID, **change})
    assert found is not None and (found.parting, found.num_reusable) == (why, 4)
    assert found.num_common == (0 if why == "model_changed" else 2)


@pytest.mark.parametrize(("output", "why"), [("sunny", None), ("rain", "input_changed")])
def test_what_a_function_gave_is_said_too(output: str, why: str | None) -> None:
    before = replace(earlier(), input=(result("sunny"),))
    found = compared((1, 2, 9), [result(output)], before=before)
    assert found is not None and found.parting == why


def result(output: str) -> Item:
    return Item(ItemId("fco_1"), "tool", (ToolResult("call_1", output),))


def test_other_fields_are_no_reason_where_the_prompt_is_the_same() -> None:
    before = earlier(prompt_cache_key="a", text={"format": {"type": "text"}}, tools=[{"name": "f"}])
    assert compared((1, 2, 3, 4), SAID, before=before) == Compared(4, 4)


def test_of_a_response_whose_tokens_are_gone_nothing_is_said() -> None:
    assert compare(BRIEF, (SAID, (1, 2), 0), [earlier()], Record(), "model") is None


@pytest.mark.parametrize(
    ("found", "told", "kind"),
    [
        (Compared(20, 20), report(30, 20), "cache_hit"),
        (Compared(20, 20), report(30, 16), "cache_hit"),
        (Compared(20, 20), report(30, 15), "unavailable"),
        (Compared(20, 20), report(20, 16), "cache_hit"),
        (Compared(20, 20), report(30, 0), "unavailable"),
        (Compared(5, 5), report(30, 0), "unavailable"),
        (Compared(20, 12), report(30, 12), "unavailable"),
    ],
)
def test_a_hit_is_all_that_blocks_of_eight_can_give(found: Compared, told: dict[str, Any], kind: str) -> None:
    assert found.diagnostics(told, 8) == {"type": kind}


def test_a_miss_says_how_much_it_costs() -> None:
    told = Compared(20, 12, "input_changed").diagnostics(report(30, 12), 8)
    assert told == {
        "type": "cache_miss",
        "reason": "input_changed",
        "cache_missed_tokens": 18,
        "comparison_reusable_tokens": 20,
    }
