"""`warmturn pin`: state that stays, and what is said of it."""

import json
import time
from pathlib import Path

from tests.client.command import Command
from tests.support.server import ServerProcess
from tests.support.talk import Talk

from warmturn.cli.misses_view import miss_lines
from warmturn.cli.stats_view import stats_lines
from warmturn.report import Miss, TurnReport
from warmturn.wire import LoggedTurn


def test_a_conversation_is_pinned_and_released(shared_server: ServerProcess, tmp_path: Path) -> None:
    command = Command(tmp_path, shared_server.base_url)
    with shared_server.client() as client:
        talk = Talk.begin(client)
        empty = command("pin", talk.id)
        assert empty.code == 1 and "no answered turn" in empty.stderr
        said = talk.say("My cat is called Mirelo.")
    assert command("pin", talk.id).ok().startswith("pinned until 20")
    pinned = json.loads(command("pin", talk.id, "--ttl", "30m", "--json").ok())["pin"]
    assert pinned["tokens"] == len(said.known) and 1700 < pinned["until"] - time.time() <= 1800
    refused = command("pin", talk.id, "--ttl", "forever")
    assert refused.code == 1 and "ttl" in refused.stderr
    assert command("pin", talk.id, "--release").ok() == "not pinned\n"


def test_promises_are_among_the_figures() -> None:
    told = {"promises": 3, "pins": 1, "bytes": 2048, "budget_bytes": 2**30, "broken": {"lost": 2}}
    assert "promised 3 times, 1 of them pins: 2.0 KiB of 1.0 GiB, 2 broken" in list(stats_lines({"promises": told}))
    assert not [line for line in stats_lines({"promises": {"promises": 0}}) if line.startswith("promised")]


def test_a_miss_of_what_was_promised_says_so() -> None:
    report = TurnReport("state", 1204, 512, 692, miss=Miss(512, "evicted", 691, promise="disk_full"))
    assert "  it was promised to stay, and went all the same: disk full" in miss_lines(
        3, LoggedTurn("resp_1", 0, report)
    )
