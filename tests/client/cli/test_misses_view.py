"""`warmturn show --misses` and `/v1/stats`: where reuse stopped and why, from a real server and after its restart."""

import json
from pathlib import Path

import pytest
from tests.client.command import Command
from tests.conftest import StartServer
from tests.support.models import TinyModels
from tests.support.server import ServerProcess
from tests.support.talk import Talk, checked

from warmturn.cli.misses_view import miss_lines
from warmturn.report import Miss, Reading, Rewrite, TurnReport
from warmturn.wire import LoggedTurn


@pytest.fixture
def server(start_server: StartServer, tiny_models: TinyModels) -> ServerProcess:
    """Its template prints the time, to the microsecond, in front of everything. Nothing is computed ahead: whoever
    has time for that renders it once more, and the next turn's may agree with that one in a few digits more."""
    return start_server("--block-size", "8", "--ahead", "off", model=tiny_models(template="clocked"))


@pytest.mark.slow
def test_a_rewritten_history_is_shown_with_both_texts_also_after_a_restart(
    server: ServerProcess, tmp_path: Path
) -> None:
    with server.client() as client:
        talk = Talk.begin(client)
        talk.say("my cat is called Mio")
        said = talk.say("what is it called?")
        stats = checked(client.get("/v1/stats"))
    miss = said.report["miss"]
    assert miss["reason"] == "history_rewritten"
    was, now = miss["rewrite"]["expected"], miss["rewrite"]["got"]
    assert was["token_id"] != now["token_id"]
    assert was["before"] == now["before"]
    assert "It is" in now["before"]
    assert was["after"][0] != now["after"][0]
    assert stats["misses"] == {"history_rewritten": 1}
    assert [entry["conversation"] for entry in stats["recent_misses"]] == [talk.id]
    assert stats["recent_misses"][0]["rewrite"] == miss["rewrite"]

    shown = Command(tmp_path, server.base_url)("show", talk.id, "--misses")
    assert "history rewritten" in shown.ok()
    assert f"|{now['after'][:3]}" in shown.ok()
    assert "1 of 2 turns" in shown.stderr
    server.restart()
    command = Command(tmp_path, server.base_url)
    assert command("show", talk.id, "--misses").ok() == shown.ok()
    (entry,) = json.loads(command("show", talk.id, "--misses", "--json").ok())
    assert (entry["turn"], entry["response"]) == (2, said.id)
    assert entry["miss"]["rewrite"]["got"] == now


def test_a_miss_says_where_it_was_and_what_it_cost() -> None:
    miss = Miss(512, "recompute_faster", 691, 830.2, 1900.0, "disk", "9f2c51d07ab3e418")
    place = "block 9f2c51d07ab3e418 in disk, would have taken longer to restore"
    assert lines_of(miss) == [
        f"turn 3: reuse stopped at token 512 of 1,204: recompute faster ({place})",
        "  691 tokens computed again, about 830 ms instead of 1.90 s of restoring",
    ]
    assert lines_of(Miss(512, "evicted", 691))[1] == "  691 tokens computed again"


def test_texts_that_part_within_a_character_or_at_the_end_are_shown() -> None:
    rewrite = Rewrite(5, Reading(7, None, "a\n", "b"), Reading(None, None, "a\n", ""))
    assert lines_of(Miss(5, "history_rewritten", rewrite=rewrite))[-2:] == [
        "  was  id 7 (part of a character): a\\n|b",
        "  now  the end: a\\n|",
    ]


def lines_of(miss: Miss) -> list[str]:
    return list(miss_lines(3, LoggedTurn("resp_1", 0, TurnReport("state", 1204, 512, 692, miss=miss))))


def test_what_is_deleted_is_no_longer_quoted(server: ServerProcess) -> None:
    with server.client() as client:
        talk, other = Talk.begin(client), Talk.begin(client)
        for conversation in (talk, other):
            conversation.say("hello")
            last = conversation.say("again")
        checked(client.delete(f"/v1/conversations/{talk.id}"))
        recent = checked(client.get("/v1/stats"))["recent_misses"]
        assert [entry["conversation"] for entry in recent] == [other.id]
        checked(client.delete(f"/v1/responses/{last.id}"))
        assert checked(client.get("/v1/stats"))["recent_misses"] == []


def test_a_conversation_without_misses_says_so(shared_server: ServerProcess, tmp_path: Path) -> None:
    with shared_server.client() as client:
        talk = Talk.begin(client)
        talk.say("hello")
    command = Command(tmp_path, shared_server.base_url)
    assert command("show", talk.id, "--misses").ok() == ""
    assert "0 of 1 turns" in command("show", talk.id, "--misses").stderr
    assert json.loads(command("show", talk.id, "--misses", "--json").ok()) == []
