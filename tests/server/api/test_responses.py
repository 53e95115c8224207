"""Responses, driven by OpenAI's client."""

from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.server.api.asking import SETTINGS, TOKEN_IDS, code_of, extension, part_of, say
from tests.support.server import ServerProcess
from tests.support.tokenizer import as_shown

# Every key that Open Responses wants to see, with a value or null.
KEYS = {
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model", "previous_response_id"),
    *("instructions", "output", "error", "tools", "tool_choice", "truncation", "parallel_tool_calls", "text", "top_p"),
    *("presence_penalty", "frequency_penalty", "top_logprobs", "temperature", "reasoning", "usage", "store"),
    *("max_output_tokens", "max_tool_calls", "background", "service_tier", "metadata", "safety_identifier"),
    *("prompt_cache_key", "conversation", "user"),
}
REPORT = {
    *("reuse", "prompt_tokens", "cached_tokens", "prefilled_tokens", "cached_by_tier", "queue_ms", "restore_ms"),
    *(
        "prefill_ms",
        "ttft_ms",
        "decode_ms_per_token",
        "recompute_ms",
        "recompute_ms_ci95",
        "recompute_source",
        "saved_ms",
        "saved_ms_ci95",
        "miss",
        "control",
        "executor",
        "ahead_tokens",
        "drafts",
        "tokens",
        "record_tokens",
        "dropped_items",
        "sampling",
    ),
}


def test_a_response_has_every_field(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        reply = http.post("/v1/responses", json={"input": "who?", "max_output_tokens": 3, "user": "me"}).json()
    assert KEYS - set(reply) == set()
    assert set(reply["warmturn"]) == REPORT
    assert reply["user"] == "me"
    assert reply["usage"]["total_tokens"] == reply["usage"]["input_tokens"] + reply["usage"]["output_tokens"]


def test_its_format_is_text_however_that_was_said(openai_client: OpenAI, model: str) -> None:
    for said in ({"format": None, "verbosity": "medium"}, {"format": {"type": "text"}}, {}, None):
        reply = openai_client.responses.create(model=model, input="who?", **SETTINGS, extra_body={"text": said})
        assert reply.text and reply.text.format and reply.text.format.type == "text"


def test_it_can_be_asked_for_again_and_deleted(openai_client: OpenAI, model: str) -> None:
    made = say(openai_client, "who?", model=model, instructions="Be brief.", metadata={"a": "b"})
    found = openai_client.responses.retrieve(made.id)
    assert (found.output_text, found.instructions, found.metadata) == (made.output_text, "Be brief.", {"a": "b"})
    assert found.usage == made.usage
    (item,) = openai_client.responses.input_items.list(made.id)
    assert part_of(item).text == "who?"
    openai_client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError) as missing:
        openai_client.responses.retrieve(made.id)
    assert missing.value.code == "response_not_found"


def test_a_reply_cut_at_its_limit_is_incomplete(openai_client: OpenAI, model: str) -> None:
    reply = say(openai_client, "who?", model=model, max_output_tokens=2, extra_body={"ignore_eos": True})
    assert reply.status == "incomplete"
    assert reply.incomplete_details and reply.incomplete_details.reason == "max_output_tokens"
    assert reply.usage and reply.usage.output_tokens == 2


def test_previous_response_goes_on_from_its_state(openai_client: OpenAI, model: str) -> None:
    first = say(openai_client, "who knows?", model=model)
    second = say(openai_client, "where?", model=model, previous_response_id=first.id)
    assert second.previous_response_id == first.id
    ids = as_shown(extension(first)["prompt_token_ids"] + extension(first)["output_token_ids"])
    assert extension(second)["prompt_token_ids"][: len(ids)] == ids
    assert extension(second)["cached_tokens"] >= len(ids) - 1


def test_without_store_it_cannot_be_asked_for(openai_client: OpenAI, model: str) -> None:
    made = say(openai_client, "who?", model=model, store=False)
    assert made.model_extra and made.model_extra["store"] is False
    with pytest.raises(openai.NotFoundError):
        openai_client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        say(openai_client, "x", model=model, previous_response_id=made.id)
    assert code_of(refused.value) == (400, "previous_response_not_found", "previous_response_id")


def test_every_reuse_mode_says_the_same(openai_client: OpenAI, model: str) -> None:
    first = say(openai_client, "who are they and where?", model=model)
    replies = [
        say(
            openai_client,
            "and how?",
            model=model,
            previous_response_id=first.id,
            store=False,
            extra_body={**TOKEN_IDS, "reuse": mode},
        )
        for mode in ("state", "prompt", "nothing")
    ]
    assert [extension(reply)["reuse"] for reply in replies] == ["state", "prompt", "nothing"]
    assert [extension(reply)["cached_tokens"] > 0 for reply in replies] == [True, False, False]
    assert len({tuple(extension(reply)["output_token_ids"]) for reply in replies}) == 1


def test_a_client_that_sends_everything_reuses_as_much(openai_client: OpenAI, model: str) -> None:
    """As Codex does: store is off, and answers come back without id and status."""
    items = [{"role": "user", "content": "who knows the others?"}]
    first = say(openai_client, items, model=model, store=False)  # type: ignore[arg-type]
    items += [
        {"type": "reasoning", "summary": []},  # type: ignore[dict-item]
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": first.output_text}]},  # type: ignore[dict-item]
        {"role": "user", "content": "where?"},
    ]
    second = say(openai_client, items, model=model, store=False)  # type: ignore[arg-type]
    ids = extension(first)["prompt_token_ids"] + extension(first)["output_token_ids"]
    assert extension(second)["cached_tokens"] == len(ids) - 1


def test_an_answer_can_be_sent_back_as_it_came(openai_client: OpenAI, model: str) -> None:
    first = say(openai_client, "who?", model=model)
    items = [{"role": "user", "content": "who?"}, *[item.to_dict() for item in first.output]]
    again = say(openai_client, [*items, {"role": "user", "content": "where?"}], model=model)  # type: ignore[arg-type]
    assert extension(again)["cached_tokens"] > 0


class TestStreaming:
    ORDER = (
        ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"],
        ["response.output_text.done", "response.content_part.done", "response.output_item.done"],
    )

    def test_events_come_in_order_and_add_up(self, openai_client: OpenAI, model: str) -> None:
        made = openai_client.conversations.create()
        options = {"model": model, "conversation": made.id, **SETTINGS, "extra_body": TOKEN_IDS}
        events = list(openai_client.responses.create(input="who?", stream=True, **options))
        names = [event.type for event in events]
        first, last = self.ORDER
        assert names[:4] == first and names[-4:-1] == last
        assert set(names[4:-4]) == {"response.output_text.delta"}
        assert [event.sequence_number for event in events] == list(range(len(events)))
        final = events[-1].response
        assert names[-1] == f"response.{final.status}"
        deltas = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert deltas == final.output_text == events[-4].text
        begun, done = events[2].item, events[-2].item
        assert (begun.id, begun.status, begun.content) == (done.id, "in_progress", [])
        assert [done] == final.output and [events[-3].part] == done.content
        assert extension(final)["output_token_ids"]
        assert openai_client.responses.retrieve(final.id).output_text == deltas

    def test_openais_stream_helper_takes_it(self, openai_client: OpenAI, model: str) -> None:
        stop = say(openai_client, "who?", model=model, max_output_tokens=40, store=False).output_text[:1]
        with openai_client.responses.stream(
            model=model, input="who?", temperature=0, extra_body={"stop": [stop]}
        ) as stream:
            for _ in stream:
                pass
            assert stream.get_final_response().status == "completed"

    def test_it_says_the_same_as_without(self, openai_client: OpenAI, model: str) -> None:
        with openai_client.responses.stream(model=model, input="who?", **SETTINGS) as stream:
            *_, final = stream
        whole = say(openai_client, "who?", model=model)
        assert final.type == "response.incomplete"
        assert part_of(final.response.output[0]).text == whole.output_text

    def test_what_is_refused_is_refused_before_the_stream(self, openai_client: OpenAI, model: str) -> None:
        with pytest.raises(openai.NotFoundError):
            openai_client.responses.create(model=model, input="x", conversation="conv_none", stream=True)

    def test_headers_keep_proxies_from_holding_it_back(self, shared_server: ServerProcess) -> None:
        body = {"input": "who?", "max_output_tokens": 2, "stream": True}
        with shared_server.client() as http, http.stream("POST", "/v1/responses", json=body) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            assert (reply.headers["x-accel-buffering"], reply.headers["cache-control"]) == ("no", "no-cache")

    def test_it_can_be_cancelled_by_its_id(self, openai_client: OpenAI, model: str) -> None:
        stream = openai_client.responses.create(
            model=model, input="who?", stream=True, max_output_tokens=1_500, extra_body={"ignore_eos": True}
        )
        events = iter(stream)
        created = next(events)
        assert created.type == "response.created"
        assert openai_client.responses.cancel(created.response.id).status == "cancelled"
        *_, final = events
        assert final.type == "response.incomplete" and final.response.status == "cancelled"
        with pytest.raises(openai.NotFoundError):
            openai_client.responses.retrieve(created.response.id)

    def test_what_is_over_cannot_be_cancelled(self, openai_client: OpenAI, model: str) -> None:
        with pytest.raises(openai.BadRequestError):
            openai_client.responses.cancel(say(openai_client, "who?", model=model).id)
        with pytest.raises(openai.NotFoundError):
            openai_client.responses.cancel("resp_none")


class TestReplaying:
    ORDER = (
        *("response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"),
        *("response.output_text.delta", "response.output_text.done", "response.content_part.done"),
        *("response.output_item.done", "response.incomplete"),
    )

    def test_what_is_over_can_be_streamed_again(self, openai_client: OpenAI, model: str) -> None:
        made = say(openai_client, "who?", model=model, extra_body={"ignore_eos": True})
        events: list[Any] = list(openai_client.responses.retrieve(made.id, stream=True))
        assert [event.type for event in events] == list(self.ORDER)
        assert [event.sequence_number for event in events] == list(range(len(self.ORDER)))
        assert events[0].response.id == made.id and events[0].response.status == "in_progress"
        assert events[4].delta == events[5].text == made.output_text
        assert events[-1].response == openai_client.responses.retrieve(made.id)

    def test_a_finished_one_ends_as_completed(self, openai_client: OpenAI, model: str) -> None:
        stop = say(openai_client, "who?", model=model, store=False).output_text[:1]
        made = say(openai_client, "who?", model=model, extra_body={"stop": [stop]})
        *_, last = openai_client.responses.retrieve(made.id, stream=True)
        assert (made.status, last.type) == ("completed", "response.completed")

    def test_it_can_begin_behind_an_event(self, openai_client: OpenAI, model: str) -> None:
        made = say(openai_client, "who?", model=model, extra_body={"ignore_eos": True})
        events = openai_client.responses.retrieve(made.id, stream=True, starting_after=6)
        assert [event.sequence_number for event in events] == [7, 8]
        for beyond in (8, 57, -1):
            with pytest.raises(openai.BadRequestError) as refused:
                openai_client.responses.retrieve(made.id, stream=True, starting_after=beyond)
            assert code_of(refused.value) == (400, "invalid_value", "starting_after")

    def test_what_is_not_there_is_refused_before_the_stream(self, openai_client: OpenAI, model: str) -> None:
        with pytest.raises(openai.NotFoundError):
            openai_client.responses.retrieve("resp_none", stream=True)
        made = say(openai_client, "who?", model=model)
        with pytest.raises(openai.BadRequestError):
            openai_client.responses.retrieve(made.id, stream=True, include=["warmturn.token_ids"])  # type: ignore[list-item]


def test_logprobs_are_of_the_text(openai_client: OpenAI, model: str) -> None:
    reply = say(
        openai_client, "who?", model=model, top_logprobs=3, include=["message.output_text.logprobs"], extra_body={}
    )
    part = part_of(reply.output[0])
    assert part.type == "output_text" and part.logprobs
    assert part.logprobs[0].top_logprobs[0].token == part.logprobs[0].token, "greedy takes the best"
    assert {len(entry.top_logprobs) for entry in part.logprobs} == {3}
    assert all(entry.logprob <= 0 for entry in part.logprobs)
