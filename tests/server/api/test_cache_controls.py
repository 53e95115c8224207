"""OpenAI's cache controls, by its own client, which takes no reply that is not exactly as its types say."""

from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.server.api.asking import TOKEN_IDS, code_of, extension, say
from tests.support.server import ServerProcess
from tests.support.talk import Json, checked, respond

NOTE = "The ferry to Helgoland leaves at half past nine, and nobody waits for those who are late."
BLOCK_SIZE = 8


def cache(**options: object) -> dict[str, Any]:
    return {"prompt_cache_options": options}


def marked(text: str, **mark: object) -> Json:
    return {"type": "input_text", "text": text, "prompt_cache_breakpoint": {"mode": "explicit", **mark}}


def message(*parts: Json) -> list[Json]:
    return [{"role": "user", "content": list(parts)}]


def test_a_lifetime_that_was_sent_is_told_and_none_is_told_without(openai_client: OpenAI) -> None:
    reply = say(openai_client, NOTE, **cache(ttl="30m", mode="implicit"))
    assert reply.prompt_cache_options is not None
    assert (reply.prompt_cache_options.ttl, reply.prompt_cache_options.mode) == ("30m", "implicit")
    promise = extension(reply)["promise"]
    assert promise["kept"] and promise["tokens"] == extension(reply)["prompt_tokens"]
    assert 1790 <= promise["until"] - reply.created_at <= 1805
    assert openai_client.responses.retrieve(reply.id).prompt_cache_options == reply.prompt_cache_options
    for options in ({}, cache(mode="implicit")):
        other = say(openai_client, NOTE, **options)
        assert other.prompt_cache_options is None and "promise" not in extension(other)


def test_chat_completions_have_half_an_hour(openai_client: OpenAI, model: str) -> None:
    ask: Any = openai_client.chat.completions.create
    given = {"model": model, "messages": [{"role": "user", "content": NOTE}], "max_tokens": 2}
    assert extension(ask(**given, **cache(ttl="30m")))["promise"]["kept"]
    for options, param in (
        ({"ttl": "12h"}, "prompt_cache_options.ttl"),
        ({"prewarm": True}, "prompt_cache_options.prewarm"),
        ({"comparison_response_id": "resp_1"}, "prompt_cache_options.comparison_response_id"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            ask(**given, **cache(**options))
        assert code_of(refused.value)[2] == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({**cache(ttl="30m"), "reuse": "prompt"}, "prompt_cache_options.ttl"),
        ({**cache(prewarm=True), "reuse": "nothing"}, "prompt_cache_options.prewarm"),
        ({"input": message(marked(NOTE, ttl="30m")), "reuse": "nothing"}, "input"),
        ({**cache(prewarm=True), "store": True}, "store"),
        (cache(prewarm=True, mode="explicit"), "prompt_cache_options.prewarm"),
        (cache(ttl="1h"), "prompt_cache_options.ttl"),
        ({"prompt_cache_retention": "24h"}, "prompt_cache_retention"),
    ],
)
def test_what_does_not_go_together_is_refused(shared_server: ServerProcess, body: Json, param: str) -> None:
    with shared_server.client() as http:
        reply = http.post("/v1/responses", json={"input": "x", **body})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_a_prewarmed_prompt_is_all_reused(openai_client: OpenAI, shared_server: ServerProcess) -> None:
    text = f"{NOTE} The next one leaves in the evening."
    warmed = openai_client.responses.create(input=text, **cache(prewarm=True))
    assert (warmed.status, warmed.output, warmed.store) == ("completed", [], False)
    assert warmed.usage is not None and warmed.usage.output_tokens == 0
    assert warmed.usage.input_tokens_details.cache_write_tokens == extension(warmed)["prefilled_tokens"] > BLOCK_SIZE
    reply = say(openai_client, text)
    assert extension(reply)["cached_tokens"] == warmed.usage.input_tokens - 1
    computed = say(openai_client, text, extra_body={**TOKEN_IDS, "reuse": "prompt"})
    assert reply.output_text == computed.output_text
    with pytest.raises(openai.NotFoundError):
        openai_client.responses.retrieve(warmed.id)
    with shared_server.client() as http:
        computed = checked(http.get("/v1/stats"))["totals"]["tokens_generated"]
        checked(http.post("/v1/responses", json={"input": text, **cache(prewarm=True)}))
        assert checked(http.get("/v1/stats"))["totals"]["tokens_generated"] == computed


def test_a_conversation_is_prewarmed_and_says_nothing_new(openai_client: OpenAI) -> None:
    chat = openai_client.conversations.create()
    say(openai_client, "My cat is called Mirelo.", conversation=chat.id)
    openai_client.responses.create(input=NOTE, conversation=chat.id, **cache(prewarm=True))
    assert len(openai_client.conversations.items.list(chat.id).data) == 2
    reply = say(openai_client, NOTE, conversation=chat.id)
    assert extension(reply)["prefilled_tokens"] == 1
    assert len(openai_client.conversations.items.list(chat.id).data) == 4


def test_a_prewarmed_stream_has_no_item(openai_client: OpenAI) -> None:
    events = list(openai_client.responses.create(input=NOTE, stream=True, **cache(prewarm=True)))
    assert [event.type for event in events] == ["response.created", "response.in_progress", "response.completed"]


def test_a_mark_is_the_exact_end_of_what_is_kept(shared_server: ServerProcess) -> None:
    """With mode explicit nothing else is, so that all that is reused comes of the mark."""
    first = marked("Kölner Dom, 157 Meter, und sein Glockenturm steht")
    with shared_server.client() as http:
        before = respond(http, input=message(first, {"type": "input_text", "text": "Why?"}), **cache(mode="explicit"))
        again = respond(http, input=message(first, {"type": "input_text", "text": "Since when?"}))
    (mark,) = before.report["breakpoints"]
    common = next(n for n, (one, other) in enumerate(zip(before.prompt, again.prompt, strict=False)) if one != other)
    assert before.prompt[:mark] == again.prompt[:mark] and mark % BLOCK_SIZE, "not the end of a block by chance"
    assert again.cached == mark <= common


def test_without_a_mark_mode_explicit_uses_no_cache(shared_server: ServerProcess) -> None:
    text = f"{NOTE} Unmarked."
    with shared_server.client() as http:
        for _ in range(2):
            said = respond(http, input=text, **cache(mode="explicit", ttl="30m"))
            assert (said.cached, said.report["reuse"], said.report["miss"]) == (0, "prompt", None)
            assert "promise" not in said.report


def test_the_latest_marks_count(shared_server: ServerProcess) -> None:
    parts = [marked(f"Part {number} of the story.") for number in range(6)]
    with shared_server.client() as http:
        assert len(respond(http, input=message(*parts)).report["breakpoints"]) == 3
        places = respond(http, input=message(*parts), **cache(mode="explicit")).report["breakpoints"]
    assert len(places) == 4 and places == sorted(places)


@pytest.mark.parametrize(
    "mark",
    [
        {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
        {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
    ids=["OpenAI's", "Anthropic's"],
)
def test_a_mark_has_a_lifetime_of_its_own(shared_server: ServerProcess, mark: Json) -> None:
    with shared_server.client() as http:
        said = respond(http, input=message({"type": "input_text", "text": NOTE, **mark}))
        (place,) = said.report["breakpoints"]
        assert said.report["promise"]["kept"] and said.report["promise"]["tokens"] == place < len(said.prompt)
        refused = http.post("/v1/conversations", json={"items": message({"type": "input_text", "text": NOTE, **mark})})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "items")


def test_a_message_is_marked_as_its_last_part(shared_server: ServerProcess) -> None:
    control = {"cache_control": {"type": "ephemeral"}}
    with shared_server.client() as http:
        whole = respond(http, input=[{"role": "user", "content": NOTE, **control}])
        part = respond(http, input=message({"type": "input_text", "text": NOTE, **control}))
    (place,) = whole.report["breakpoints"]
    assert part.report["breakpoints"] == [place]
    assert BLOCK_SIZE < place < len(whole.prompt)
    assert "promise" not in whole.report


def diagnostics(client: OpenAI, text: str, compared: str, **options: Any) -> Any:
    reply = say(client, text, **cache(comparison_response_id=compared, ttl="30m"), **options)
    assert reply.prompt_cache_options is not None
    assert reply.prompt_cache_options.comparison_response_id == compared
    assert reply.prompt_cache_diagnostics is not None
    return reply.prompt_cache_diagnostics


def test_diagnostics_compare_with_an_earlier_response(openai_client: OpenAI) -> None:
    first = say(openai_client, NOTE, instructions="Be brief.")
    assert first.usage is not None
    same = diagnostics(openai_client, NOTE, first.id, instructions="Be brief.")
    assert same.type == "cache_hit"
    further = diagnostics(openai_client, "And now?", first.id, instructions="Be brief.", previous_response_id=first.id)
    assert further.type == "cache_hit"
    other = diagnostics(openai_client, NOTE, first.id, instructions="Be long, and take your time.")
    assert (other.type, other.reason) == ("cache_miss", "input_changed")
    assert other.comparison_reusable_tokens == first.usage.input_tokens
    assert first.usage.input_tokens / 2 < other.cache_missed_tokens <= first.usage.input_tokens + 10
    unknown = diagnostics(openai_client, NOTE, f"resp_{'0' * 48}")
    assert unknown.type == "comparison_response_not_found"


def test_what_was_never_stored_is_not_found(openai_client: OpenAI) -> None:
    first = say(openai_client, NOTE, store=False)
    assert diagnostics(openai_client, NOTE, first.id).type == "comparison_response_not_found"
    assert say(openai_client, NOTE).prompt_cache_diagnostics is None


def test_what_the_server_did_not_reuse_is_not_the_callers_doing(openai_client: OpenAI) -> None:
    first = say(openai_client, NOTE)
    reply = say(
        openai_client, NOTE, **cache(comparison_response_id=first.id), extra_body={**TOKEN_IDS, "reuse": "prompt"}
    )
    assert reply.prompt_cache_diagnostics is not None and reply.prompt_cache_diagnostics.type == "unavailable"
