"""The line below a turn in the browser."""

import dataclasses

import pytest
from playwright.sync_api import Page

from warmturn.format import turn_line
from warmturn.report import Control, Drafts, Miss, TurnReport

REPORT = TurnReport(
    "state",
    1204,
    1186,
    18,
    {"resident": 0, "ram": 1186},
    ttft_ms=38.2,
    recompute_source="estimated",
    saved_ms=1442.9,
    saved_ms_ci95=(1352.9, 1542.9),
)


def saved(ms: float, low: float, high: float) -> TurnReport:
    return dataclasses.replace(REPORT, saved_ms=ms, saved_ms_ci95=(low, high))


@pytest.mark.parametrize(
    "report",
    [
        REPORT,
        dataclasses.replace(REPORT, saved_ms_ci95=None),
        saved(12.0, -5.0, 29.0),
        saved(-12.0, -15.0, -9.0),
        saved(3.0, 2.0, 4.0),
        saved(3.0, 0.0, 6.0),
        dataclasses.replace(REPORT, ttft_ms=None),
        dataclasses.replace(REPORT, recompute_source="measured", saved_ms_ci95=None),
        TurnReport("state", 20, 0, 20, {}, ttft_ms=6.14, saved_ms=0.0),
        TurnReport("state", 2000, 1999, 1, {"ram": 1000, "disk": 999}, ttft_ms=1234.0, saved_ms=99999.0),
        TurnReport("state", 9, 4, 5, {"disk": 4}, ttft_ms=12.3, saved_ms=-1.26, miss=Miss(4, "store_unavailable")),
        TurnReport("state", 9, 4, 5, {"disk": 4}, ttft_ms=9.96, saved_ms=9.94),
        TurnReport("state", 9, 4, 5, {"resident": 4}, ttft_ms=9.96, ahead_tokens=1234),
        TurnReport("prompt", 9, 0, 9, {}, ttft_ms=None, saved_ms=None),
        TurnReport("nothing", 1234567, 0, 1234567, {}, ttft_ms=999.6),
        TurnReport("state", 9, 0, 9, {}, drafts=Drafts(1200, 21)),
        TurnReport("state", 9, 0, 9, {}, ttft_ms=80.0, control=Control("ctl_1", "replace", 8, 12.0)),
        TurnReport("state", 9, 8, 1, {"ram": 8}, ttft_ms=8.0, control=Control("ctl_1", "shadow")),
    ],
)
def test_the_line_is_the_one_of_the_command_line(functions: Page, report: TurnReport) -> None:
    miss = {"at_token": report.miss.at_token, "reason": report.miss.reason} if report.miss else None
    drafts = report.drafts and dataclasses.asdict(report.drafts)
    control = report.control and dataclasses.asdict(report.control)
    nested = {"miss": miss, "drafts": drafts, "control": control}
    sent = {name: getattr(report, name) for name in TurnReport.__slots__} | nested
    shown = functions.evaluate("async (report) => (await import('/page/account.js')).turnLine(report)", sent)
    assert shown == turn_line(report)
