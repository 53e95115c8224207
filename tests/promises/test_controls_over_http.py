"""Control turns as operators and clients see them: in the reply, in `/v1/stats`, in `/metrics`."""

from typing import Any

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.talk import Talk, checked
from tests.support.waiting import wait_until


def stats_after(client: httpx.Client, num_audits: int) -> dict[str, Any]:
    def stats_by_now() -> dict[str, Any] | None:
        stats: dict[str, Any] = checked(client.get("/v1/stats"))
        audits = sum(stats["audits"][result] for result in ("clean", "breach", "inconclusive"))
        return stats if audits >= num_audits else None

    return wait_until(stats_by_now, "the audits did not come to an end", seconds=120)


@pytest.mark.parametrize("mode", ["shadow", "replace"])
def test_every_turn_can_be_checked(start_server: StartServer, mode: str) -> None:
    server = start_server("--block-size", "8", "--control-rate", "1", "--control-mode", mode)
    with server.client() as client:
        talk, count = Talk.begin(client), 0
        for text in ("hello", "and now?", "and then?"):
            control = talk.say(text).report["control"]
            count += control is not None
            stats = stats_after(client, count)
        assert control["mode"] == mode
        assert stats["audits"]["clean"] == count == 2
        assert stats["controls"]["turns"] == {mode: 2}
        low, high = stats["controls"]["estimate_bias_seconds"]["ci95"]
        assert low <= stats["controls"]["estimate_bias_seconds"]["value"] <= high
        figures = client.get("/metrics").text
    assert f'warmturn_control_turns_total{{mode="{mode}"}} 2.0' in figures
    assert 'warmturn_audits_total{result="clean"} 2.0' in figures
    for name in ("saved_seconds_measured", "estimate_bias_seconds", "control_spent_seconds_total", "control_backlog"):
        assert f"warmturn_{name}" in figures


def test_what_is_not_measured_is_null_and_not_0(start_server: StartServer) -> None:
    with start_server("--control-rate", "0").client() as client:
        Talk.begin(client).say("hello")
        stats = checked(client.get("/v1/stats"))
        assert stats["controls"]["saved_seconds"] is None
        assert stats["audits"]["noise_floor"] is None
        assert 'warmturn_saved_seconds_measured{bound="value"} NaN' in client.get("/metrics").text


def test_a_rate_that_is_no_share_is_refused_in_one_line(start_server: StartServer) -> None:
    with pytest.raises(AssertionError, match="--control-rate"):
        start_server("--control-rate", "2")
