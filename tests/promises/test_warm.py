"""A conversation that is warmed before its next turn finds its state near, and says the same."""

import httpx
from tests.conftest import StartServer
from tests.support.talk import Json, Talk, checked
from tests.support.waiting import wait_until

LINES = ("My cat is called Mirelo and my dog is called Fido.", "What is my cat called?", "And my dog?")


def warm(client: httpx.Client, conversation_id: str) -> Json:
    return checked(client.post(f"/v1/conversations/{conversation_id}/warm"))


def wait_until_warm(client: httpx.Client, conversation_id: str) -> Json:
    def warmed() -> Json | None:
        warming = warm(client, conversation_id)
        return warming if warming["status"] == "warm" else None

    return wait_until(warmed, "it never was warm")


def held(client: httpx.Client) -> Json:
    found: Json = checked(client.get("/v1/stats"))["conversation_turns"]
    return {tier: count for tier, count in found.items() if count}


def test_after_a_restart_the_warmed_conversation_comes_from_ram(start_server: StartServer) -> None:
    server = start_server("--block-size", "8")
    with server.client() as client:
        warmed, left = Talk.begin(client), Talk.begin(client)
        before = [warmed.say(line) for line in LINES]
        for line in LINES:
            left.say(f"No: {line}")
        assert held(client) == {"resident": 4}
    server.restart()
    with server.client() as client:
        first = warm(client, warmed.id)
        assert first["object"] == "conversation.warmed"
        assert first["id"] == warmed.id
        assert first["tokens"] == len(before[2].token_ids) - 1
        near = wait_until_warm(client, warmed.id)["tokens_by_tier"]
        assert near == {"ram": near["ram"], "disk": 0}
        assert near["ram"] == first["tokens"]
        from_ram = Talk(client, warmed.id).say("Thank you!")
        from_disk = Talk(client, left.id).say("Thank you so much!")
        assert from_ram.report["cached_by_tier"] == {"resident": 0, "ram": from_ram.cached, "disk": 0}
        assert from_ram.cached == first["tokens"]
        assert from_disk.report["cached_by_tier"]["disk"] > 0
        assert held(client) == {"ram": 1, "disk": 1}
        metrics = client.get("/metrics").text
    assert 'warmturn_conversation_turns_total{held="ram"} 1.0' in metrics
    assert f'warmturn_warmed_tokens_total{{tier="disk"}} {float(first["tokens"])}' in metrics
    assert 'warmturn_warms_total{status="warm"}' in metrics


def test_a_server_that_does_not_hold_the_conversation_says_so(start_server: StartServer) -> None:
    server = start_server("--block-size", "8", "--ram-cache", "0", "--disk-cache", "0", "--kv-memory", "192KiB")
    with server.client() as client:
        talk = Talk.begin(client)
        talk.say(LINES[0])
        Talk.begin(client).say("Something else altogether, and long enough to push the other one out of memory. " * 3)
        assert talk.say(LINES[1]).cached < 20
        assert held(client) == {"nothing": 1}
        assert warm(client, talk.id)["status"] == "nothing_saved"


def test_unknown_and_empty_conversations(start_server: StartServer) -> None:
    with start_server().client() as client:
        assert client.post("/v1/conversations/conv_none/warm").status_code == 404
        empty = Talk.begin(client)
        assert warm(client, empty.id) == {
            "id": empty.id,
            "object": "conversation.warmed",
            "status": "nothing_saved",
            "tokens": 0,
            "tokens_by_tier": {},
        }
