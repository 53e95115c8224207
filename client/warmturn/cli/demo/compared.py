"""A turn in all modes, as one finding: did they say the same, and when did each begin."""

from collections.abc import Mapping
from typing import Final

from warmturn.cli.demo.measure import Measured
from warmturn.cli.demo.result import DemoTurn
from warmturn.wire import REUSE_MODES, ReuseMode

_BESIDE: Final[tuple[ReuseMode, ...]] = ("prompt", "nothing")
"""What is held against mode `state`."""


def compared(number: int, measured: Mapping[ReuseMode, Measured], asked: Mapping[ReuseMode, int]) -> DemoTurn:
    """`asked`: of how many tokens a reply might be; one that is cut short is compared as far as it goes."""
    state = measured["state"]
    report = state.turn.report
    lengths = {mode: _compared_tokens(state, measured[mode], asked[mode]) for mode in _BESIDE}
    whole = state.output_ids
    return DemoTurn(
        turn=number,
        prompt_tokens=report.prompt_tokens,
        cached_tokens=report.cached_tokens,
        prefilled_tokens=report.prefilled_tokens,
        ttft_ms={mode: round(measured[mode].ttft_ms, 2) for mode in REUSE_MODES},
        same_tokens=all(measured[mode].output_ids == whole[:length] for mode, length in lengths.items()),
        text=state.turn.text,
        reply_tokens=len(whole),
        left_out_tokens={mode: len(whole) - length for mode, length in lengths.items()},
        wrongly_cached={mode: tokens for mode in _BESIDE if (tokens := measured[mode].turn.report.cached_tokens)},
        foregone_tokens=(report.control and report.control.foregone_tokens) or 0,
    )


def _compared_tokens(state: Measured, other: Measured, asked: int) -> int:
    """All, but of a reply that was cut because no more was asked for; in mid-character a cut takes all of that."""
    is_cut = other.turn.status == "incomplete" and asked < len(state.output_ids)
    return len(other.output_ids) if is_cut else len(state.output_ids)
