"""Figures as people read them: in digits that matter, in units, and in colours that stay the same."""

from collections.abc import Mapping
from typing import Final

from warmturn.report import TurnReport
from warmturn.savings import of_turn
from warmturn.wire import Item

PALETTE: Final[Mapping[str, str]] = {
    "state": "dark_orange3",
    "prompt": "steel_blue",
    "nothing": "grey53",
    "resident": "dark_orange3",
    "ram": "gold3",
    "disk": "steel_blue",
    "redis": "medium_purple3",
    "computed": "grey53",
}
"""Modes and sources of prompt tokens, as the server's page (`style.css`) and the load test's report colour them."""
_UNITS = ("B", "KiB", "MiB", "GiB")
_UNKNOWN = "?"
_LINE_CHARS = 100
CLEARLY = 1.1
"""Below this nobody says how many times sooner: milliseconds say it better."""


def milliseconds(ms: float) -> str:
    """`6.1 ms`, `38 ms`, `1.44 s`: two or three digits that matter, never more."""
    if abs(ms) >= 1000:
        return f"{ms / 1000:,.2f} s"
    return f"{ms:.1f} ms" if abs(ms) < 9.95 else f"{ms:.0f} ms"


def of_seconds(seconds: float) -> str:
    return milliseconds(1000 * seconds)


def byte_size(size: float) -> str:
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size /= 1024
        unit += 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def known_count(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def known_size(value: float | None) -> str:
    return _UNKNOWN if value is None else byte_size(value)


def counted(count: int, what: str) -> str:
    """`1 turn`, `1,204 turns`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def times(factor: float) -> str:
    """Rounded down, so that a gain is never overstated: `38x`, `3.7x`."""
    return f"{int(factor):,}x" if factor >= 10 else f"{int(factor * 10) / 10:.1f}x"


def turn_line(report: TurnReport) -> str:
    """The one line under a turn, e.g. `TTFT 38 ms · 1,186 of 1,204 tokens reused (ram) · saved about 1.44 s (36x)`."""
    parts = (_ttft(report), _tokens(report), _saved(report), _drafts(report), _miss(report), _control(report))
    return " · ".join(part for part in parts if part)


def call_line(item: Item) -> str:
    """A call or its result in one line; empty for what is neither."""
    if item.call is None:
        return ""
    is_call = item.type == "function_call"
    return _one_line(f"called {item.call.name}({item.call.arguments})" if is_call else f"result: {item.call.output}")


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LINE_CHARS else f"{words[: _LINE_CHARS - 1]}…"


def main_tier(report: TurnReport) -> str | None:
    """The tier that most of the reused tokens came from."""
    used = {tier: tokens for tier, tokens in report.cached_by_tier.items() if tokens}
    return max(used, key=lambda tier: used[tier]) if used else None


def _ttft(report: TurnReport) -> str:
    return "" if report.ttft_ms is None else f"TTFT {milliseconds(report.ttft_ms)}"


def _tokens(report: TurnReport) -> str:
    if report.reuse != "state":
        return f"{report.prefilled_tokens:,} tokens computed, reuse off ({report.reuse})"
    ahead = f", {report.ahead_tokens:,} of them prepared" if report.ahead_tokens else ""
    return f"{report.cached_tokens:,} of {report.prompt_tokens:,} tokens reused{_tiers(report)}{ahead}"


def _tiers(report: TurnReport) -> str:
    used = {tier: tokens for tier, tokens in report.cached_by_tier.items() if tokens}
    if len(used) == 1:
        return f" ({next(iter(used))})"
    return f" ({', '.join(f'{tokens:,} {tier}' for tier, tokens in used.items())})" if used else ""


def _saved(report: TurnReport) -> str:
    """Nothing where nothing was reused or the saving is unknown; how many times sooner, by the lower bound."""
    saved = of_turn(report)
    if saved is None:
        return ""
    amount = saved.amount(of_seconds)
    if not saved.is_clear or saved.seconds < 0:
        return amount
    low = saved.bounds[0] if saved.bounds else saved.seconds
    factor = 1 + 1000 * low / report.ttft_ms if report.ttft_ms else 1.0
    return f"saved {amount}" + (f" ({times(factor)})" if factor >= CLEARLY else "")


def _drafts(report: TurnReport) -> str:
    drafts = report.drafts
    return f"{drafts.accepted:,} of {drafts.drafted:,} guesses right" if drafts and drafts.drafted else ""


def _miss(report: TurnReport) -> str:
    if report.miss is None:
        return ""
    return f"reuse stopped at token {report.miss.at_token:,} ({report.miss.reason.replace('_', ' ')})"


def _control(report: TurnReport) -> str:
    """Nothing of a check that waits until the machine is idle: that cost this turn nothing."""
    return "control turn, computed in full on purpose" if report.control and report.control.mode == "replace" else ""
