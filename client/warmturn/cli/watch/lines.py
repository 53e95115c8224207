"""The same for scripts: one JSON document an interval, one a line."""

import dataclasses
from typing import Any, Final

from warmturn.cli.watch.sample import Figures, Sample
from warmturn.doubts import doubts
from warmturn.format import of_seconds
from warmturn.wire import REUSE_MODES, figure_at

_WHOLE: Final = (
    *("instance", "uptime_seconds", "model", "running", "waiting", "totals", "tiers", "saved_seconds"),
    *("controls", "audits", "misses"),
)


def json_line(sample: Sample, a_minute_ago: Figures | None = None) -> dict[str, Any]:
    """Where the server did not answer only `time`, `up` and `error` are there."""
    head = {"time": round(sample.time, 3), "up": sample.figures is not None}
    if sample.figures is None:
        return {**head, "error": sample.error}
    return {
        **head,
        **{name: figure_at(sample.figures, name) for name in _WHOLE},
        "rates": dataclasses.asdict(sample.rates),
        "ttft_ms": {mode: sample.recent(mode, "ttft_ms") for mode in REUSE_MODES},
        "hit_share": sample.hit_shares() or None,
        "uncertain": [dataclasses.asdict(doubt) for doubt in doubts(sample.figures, a_minute_ago, written=of_seconds)],
    }
