"""What was promised to stay is there: when others fill the disk, after a kill, and until it is deleted."""

from pathlib import Path

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.server import ServerProcess
from tests.support.talk import Json, Said, Talk, await_saved, checked, respond
from tests.support.traces import Trace
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

OPTIONS = ("--block-size", "8", "--ram-cache", "0", "--disk-cache", "400KB", "--promise-budget", "200KB")
NOTE = "The ferry to Helgoland leaves at half past nine, and nobody waits for those who are late."
OTHER = "Quinces are picked in October, when nights are cold, and keep until the end of January."
FOR_A_WHILE: Json = {"prompt_cache_options": {"ttl": "30m"}}


def press(client: httpx.Client) -> None:
    """Other conversations whose state would fill the disk more than twice."""
    for number in range(12):
        Talk.begin(client).say(f"{number} is a number, " * 12, max_output_tokens=2)
    await_saved(client)
    assert promises(client)["saved"] > 300_000


def promises(client: httpx.Client) -> Json:
    stats = checked(client.get("/v1/stats"))
    return {**stats["promises"], "saved": stats["tiers"]["disk"]["bytes"]}


def kept(said: Said) -> Said:
    assert said.report["promise"]["kept"] and said.report["promise"]["tokens"] == len(said.prompt)
    return said


def went_on(server: ServerProcess, talk: Talk) -> Said:
    """After a kill, when nothing is in memory."""
    server.kill()
    server.start()
    with server.client() as client:
        return Talk(client, talk.id).say("And now?")


def test_it_outlives_pressure_and_a_kill(start_server: StartServer) -> None:
    server = start_server(*OPTIONS)
    with server.client() as client:
        unpromised, promised = Talk.begin(client), Talk.begin(client)
        unpromised.say(OTHER)
        said = kept(promised.say(NOTE, **FOR_A_WHILE))
        server.kill()  # as soon as it is told
        server.start()
    with server.client() as client:
        press(client)
        after = promises(client)
        assert (after["promises"], after["pins"], sum(after["broken"].values())) == (1, 0, 0)
    again = went_on(server, promised)
    assert again.cached >= len(said.prompt)
    assert again.report["cached_by_tier"]["disk"] == again.cached
    other = went_on(server, unpromised)
    assert other.cached < 8 and other.report["miss"]["reason"] == "not_found", "the pressure was none"


def test_a_pin_brings_state_back_and_holds_it_until_it_is_released(start_server: StartServer) -> None:
    server = start_server(*OPTIONS)
    with server.client() as client:
        talk = Talk.begin(client)
        path = f"/v1/conversations/{talk.id}"
        refused = client.post(f"{path}/pin", json={"ttl": "30m"})
        assert (refused.status_code, checked(client.get(path))["pin"]) == (400, None)
        said = talk.say(NOTE)
        press(client)
        pin = checked(client.post(f"{path}/pin", json={"ttl": "90m"}))["pin"]
        assert pin["kept"] and pin["tokens"] == len(said.token_ids) - 1
        assert checked(client.get(path))["pin"] == pin
        assert [found["pin"] for found in checked(client.get("/v1/conversations"))["data"] if found["pin"]] == [pin]
        press(client)
        assert promises(client)["pins"] == 1
        too_long = client.post(f"{path}/pin", json={"ttl": "2d"}).json()["error"]
        assert (too_long["code"], too_long["param"]) == ("promise_refused", "ttl")
    again = went_on(server, talk)
    assert again.cached > len(said.known) - 8
    with server.client() as client:
        assert checked(client.delete(f"{path}/pin"))["pin"] is None
        assert promises(client)["promises"] == 0
        checked(client.post(f"{path}/pin", json={"ttl": "1s"}))
        wait_until(lambda: checked(client.get(path))["pin"] is None, "its time does not run out")
        for method in ("POST", "DELETE"):
            gone = client.request(method, "/v1/conversations/conv_0/pin", json={"ttl": "1h"})
            assert gone.status_code == 404


def test_a_full_budget_refuses_and_breaks_nothing(start_server: StartServer) -> None:
    server = start_server(*OPTIONS[:-1], "100KB")
    with server.client() as client:
        kept(respond(client, input=NOTE, **FOR_A_WHILE))
        held = promises(client)
        refused = client.post("/v1/responses", json={"input": OTHER, **FOR_A_WHILE})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "promises_full")
        assert refused.json()["error"]["param"] == "prompt_cache_options.ttl"
        assert refused.headers["x-should-retry"] == "false"
        assert 1700 < int(refused.headers["retry-after"]) <= 1801
        assert respond(client, input=OTHER).id, "without a ttl it is served"
        kept(respond(client, input=NOTE, **FOR_A_WHILE))
        after = promises(client)
        assert (after["bytes"], sum(after["broken"].values())) == (held["bytes"], 0)
        metrics = client.get("/metrics").text
    assert "warmturn_promises_total 2.0" in metrics and "warmturn_promises_refused_total 1.0" in metrics


def test_no_tier_that_could_keep_it(start_server: StartServer) -> None:
    server = start_server("--block-size", "8", "--disk-cache", "0", "--unstored-ttl", "0")
    with server.client() as client:
        refused = client.post("/v1/responses", json={"input": NOTE, **FOR_A_WHILE})
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "promise_refused")
        for wish in ({"ttl": "30m"}, {"prewarm": True}):
            body = {"input": NOTE, "store": False, "prompt_cache_options": wish}
            assert client.post("/v1/responses", json=body).status_code == 400


def test_deleted_is_gone_whatever_was_promised(start_server: StartServer) -> None:
    """Of what was only prewarmed on top of it the promise goes too."""
    server = start_server(*OPTIONS[:-1], "300KB")
    with server.client() as client:
        talk = Talk.begin(client)
        said = kept(talk.say(NOTE, **FOR_A_WHILE))
        checked(client.post(f"/v1/conversations/{talk.id}/pin", json={"ttl": "12h"}))
        wishes = {"prompt_cache_options": {"ttl": "30m", "prewarm": True}}
        warmed = checked(client.post("/v1/responses", json={"conversation": talk.id, "input": OTHER, **wishes}))
        assert warmed["warmturn"]["promise"]["kept"] and promises(client)["promises"] >= 2
        trace = Trace("Helgoland", said.prompt[4:20])
        assert "ids as <i8" in trace.in_folder(server.data_dir)
        checked(client.delete(f"/v1/conversations/{talk.id}"))
        assert trace.in_folder(server.data_dir) == {}
        after = promises(client)
        assert (after["promises"], after["bytes"], sum(after["broken"].values())) == (0, 0, 0)


def test_what_is_not_stored_stays_for_as_long_as_was_promised(start_server: StartServer) -> None:
    """Else it would go a second after its last use."""
    server = start_server(*OPTIONS, "--unstored-ttl", "1")
    ask = {"messages": [{"role": "user", "content": NOTE}], "max_tokens": 2}
    with server.client() as client:
        checked(client.post("/v1/chat/completions", json={**ask, **FOR_A_WHILE}))
        body = {"messages": [{"role": "user", "content": OTHER}], "max_tokens": 2}
        checked(client.post("/v1/chat/completions", json=body))
        wait_until(lambda: promises(client)["saved"] <= promises(client)["bytes"] > 0, "the other one does not go")
    server.kill()
    server.start()
    with server.client() as client:
        again = checked(client.post("/v1/chat/completions", json=ask))["warmturn"]
    assert again["cached_tokens"] == again["prompt_tokens"] - 1


def test_a_promise_that_broke_is_told_with_the_miss(start_server: StartServer) -> None:
    server = start_server(*OPTIONS)
    with server.client() as client:
        talk = Talk.begin(client)
        kept(talk.say(NOTE, **FOR_A_WHILE))
    server.kill()
    for file in Path(server.data_dir).rglob("*.kv"):
        file.unlink()
    server.start()
    with server.client() as client:
        assert promises(client)["broken"]["lost"] == 1
        said = Talk(client, talk.id).say("And now?", prompt_cache_options={"comparison_response_id": "resp_x"})
        assert (said.cached, said.report["miss"]["promise"]) == (0, "lost")
        assert 'warmturn_promises_broken_total{reason="lost"} 1.0' in client.get("/metrics").text
