"""A retry says what was said before: most of it is guessed, the reply is the same, and it is told."""

from tests.conftest import StartServer
from tests.support.talk import Talk, checked


def test_a_retry_is_guessed_and_the_same(start_server: StartServer) -> None:
    words: dict[str, object] = {"max_output_tokens": 40, "temperature": 0, "ignore_eos": True}
    with start_server("--drafts", "7").client() as http:
        talk = Talk.begin(http)
        talk.say("Who was here?", **words)
        last = checked(http.get(f"/v1/conversations/{talk.id}/items"))["data"][0]["id"]
        first = talk.say("And what did they want?", **words)
        fork = checked(http.post(f"/v1/conversations/{talk.id}/fork", json={"item_id": last}))["id"]
        again = Talk(http, fork).say("And what did they want?", **words)
        assert again.output == first.output
        assert again.report["drafts"]["accepted"] >= 30, "five steps of eight tokens"
        totals = http.get("/v1/stats").json()["totals"]
        metrics = http.get("/metrics").text
    assert totals["drafted_tokens"] >= totals["accepted_tokens"] >= again.report["drafts"]["accepted"]
    assert totals["tokens_generated"] == totals["output_tokens"] == 3 * 40
    assert f"warmturn_drafted_tokens_total {totals['drafted_tokens']:.1f}" in metrics
    assert f"warmturn_accepted_tokens_total {totals['accepted_tokens']:.1f}" in metrics
