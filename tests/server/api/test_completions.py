"""Chat completions, driven by OpenAI's client."""

from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.server.api.asking import TOKEN_IDS, code_of, extension

SETTINGS: dict[str, Any] = {"max_tokens": 12, "temperature": 0}


def test_a_client_that_resends_everything_reuses_the_generated_text_too(openai_client: OpenAI, model: str) -> None:
    messages: list[Any] = [{"role": "system", "content": "You are brief."}]
    known = 0
    for number in range(4):
        messages.append({"role": "user", "content": f"resent {number}"})
        reply = openai_client.chat.completions.create(model=model, messages=messages, extra_body=TOKEN_IDS, **SETTINGS)
        assert reply.usage and reply.usage.prompt_tokens_details
        assert reply.usage.prompt_tokens_details.cached_tokens >= known
        ids = extension(reply)["prompt_token_ids"] + extension(reply)["output_token_ids"]
        known = len(ids) - 1
        messages.append({"role": "assistant", "content": reply.choices[0].message.content})
    assert known > 100


def test_a_completion_has_all_its_fields(openai_client: OpenAI, model: str) -> None:
    reply = openai_client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "who?"}], logprobs=True, top_logprobs=2, **SETTINGS
    )
    choice = reply.choices[0]
    assert reply.id.startswith("chatcmpl-") and reply.object == "chat.completion"
    assert choice.finish_reason in ("stop", "length")
    assert choice.logprobs and choice.logprobs.content
    assert all(len(entry.top_logprobs) == 2 for entry in choice.logprobs.content)
    assert reply.usage and reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert extension(reply)["reuse"] == "state"


def test_chunks_add_up_to_the_completion(openai_client: OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "who else?"}], **SETTINGS}
    whole = openai_client.chat.completions.create(**asked)
    chunks = list(
        openai_client.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}, extra_body=TOKEN_IDS
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == whole.choices[0].message.content
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == [] and chunks[-1].usage
    assert [chunk.choices[0].finish_reason for chunk in chunks[-3:-1]] == [None, whole.choices[0].finish_reason]
    assert len(extension(chunks[-2])["output_token_ids"]) == chunks[-1].usage.completion_tokens
    assert extension(chunks[-1]) == extension(chunks[-2])


def test_without_the_option_no_chunk_has_a_usage(openai_client: OpenAI, model: str) -> None:
    stream = openai_client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "who?"}], stream=True, **SETTINGS
    )
    *_, last = stream
    assert last.choices[0].finish_reason and last.usage is None
    assert extension(last)["prompt_tokens"] > 0


def test_stop_strings_do_not_show(openai_client: OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "where?"}], "temperature": 0}
    asked["extra_body"] = {"ignore_eos": True}
    whole = openai_client.chat.completions.create(**asked, max_tokens=30).choices[0].message.content or ""
    stop = whole[5:7]
    cut = openai_client.chat.completions.create(**asked, max_completion_tokens=30, stop=[stop, "never"]).choices[0]
    assert cut.message.content == whole[: whole.index(stop)]
    assert cut.finish_reason == "stop"


def test_a_seed_repeats(openai_client: OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "who?"}], "max_tokens": 20}
    said = [openai_client.chat.completions.create(**asked, seed=7).choices[0].message.content for _ in range(2)]
    assert said[0] == said[1]


def test_alternatives_need_log_probabilities(openai_client: OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError, match="logprobs to be true") as refused:
        openai_client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "x"}], max_tokens=1, top_logprobs=3
        )
    assert code_of(refused.value) == (400, "invalid_value", "top_logprobs")


def test_what_does_no_harm_is_accepted(openai_client: OpenAI, model: str) -> None:
    harmless = {
        "n": 1,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": "none",
        "store": False,
        "prompt_cache_key": "k",
        "future_field": [1],
        "top_k": -1,
        "seed": None,
        "stop": None,
    }
    openai_client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": [{"type": "text", "text": "x"}], "name": "me"}],
        max_tokens=1,
        extra_body=harmless,
    )


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "messages[0].content[0]"),
        ({"role": "tool", "content": "x", "tool_call_id": "1"}, "messages"),
        ({"role": "user"}, "messages[0]"),
        ({"role": "user", "content": 5}, "messages[0].content"),
    ],
)
def test_messages_that_are_not_text_are_refused(
    openai_client: OpenAI, model: str, message: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.chat.completions.create(model=model, messages=[message], max_tokens=1)  # type: ignore[list-item]
    assert code_of(refused.value) == (400, "invalid_value", param)
