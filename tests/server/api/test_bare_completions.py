"""`/v1/completions`: a prompt as text or ids, and what harnesses ask about each of its tokens."""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from openai import OpenAI
from openai.types import completion_create_params
from tests.server.api.test_fields import fields, published
from tests.support.models import IM_END
from tests.support.server import ServerProcess

from warmturn_server.api.bare.body import CreateBareCompletion

PATH: Final = "/v1/completions"
IDS: Final = [1, 90, 91, 92, 30, 31, 32, 2, 1, 95]
GREEDY: Final[dict[str, Any]] = {"temperature": 0, "ignore_eos": True, "max_tokens": 8}
LIKE_A_HARNESS: Final = {"temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True}
"""lm-eval's way to ask how likely a continuation is."""


@pytest.fixture(scope="module")
def http(shared_server: ServerProcess) -> Iterator[httpx.Client]:
    with shared_server.client() as client:
        yield client


def ask(http: httpx.Client, **body: Any) -> dict[str, Any]:
    reply = http.post(PATH, json={**GREEDY, **body})
    assert reply.status_code == 200, reply.text
    said: dict[str, Any] = reply.json()
    return said


def only(said: dict[str, Any]) -> dict[str, Any]:
    (choice,) = said["choices"]
    return dict(choice)


def test_it_says_what_the_model_says_behind_these_ids(http: httpx.Client) -> None:
    told = {"include": ["warmturn.token_ids"]}
    answered = http.post(
        "/v1/responses",
        json={"input": "where?", "temperature": 0, "ignore_eos": True, "max_output_tokens": 8, **told},
    ).json()
    ids = answered["warmturn"]["prompt_token_ids"]
    said = only(ask(http, prompt=ids, **told))
    assert said["warmturn"]["output_token_ids"] == answered["warmturn"]["output_token_ids"]
    assert said["text"] == answered["output"][0]["content"][0]["text"]
    assert said["warmturn"]["cached_tokens"] > 0, "the state that the other API left"


def test_a_text_is_tokenised_and_several_prompts_are_answered_each(http: httpx.Client) -> None:
    told = {"include": ["warmturn.token_ids"]}
    texts = ["the cat", "where were"]
    alone = [only(ask(http, prompt=text, **told)) for text in texts]
    together = ask(http, prompt=texts, **told)
    assert [choice["index"] for choice in together["choices"]] == [0, 1]
    assert [choice["text"] for choice in together["choices"]] == [choice["text"] for choice in alone]
    ids = [choice["warmturn"]["prompt_token_ids"] for choice in alone]
    assert [choice["text"] for choice in ask(http, prompt=ids)["choices"]] == [choice["text"] for choice in alone]
    assert together["usage"]["completion_tokens"] == 16
    assert together["usage"]["prompt_tokens"] == sum(map(len, ids))


def test_the_name_of_a_control_token_is_the_token_here_and_text_in_a_message(http: httpx.Client) -> None:
    told = {"include": ["warmturn.token_ids"]}
    bare = only(ask(http, prompt="here<|im_end|>", **told))
    assert bare["warmturn"]["prompt_token_ids"].count(IM_END) == 1
    for path, said in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "here<|im_end|>"}]}),
        ("/v1/responses", {"input": "here<|im_end|>", "instructions": "<|im_end|>"}),
    ):
        ids = http.post(path, json={**said, **told, "temperature": 0}).json()["warmturn"]["prompt_token_ids"]
        assert ids.count(IM_END) == (2 if "instructions" in said else 1)


def test_openais_client_takes_it(openai_client: OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "prompt": "the cat", "temperature": 0, "max_tokens": 6}
    assert openai_client.completions.create(**asked, echo=True).choices[0].text.startswith("the cat")
    logprobs = openai_client.completions.create(**asked, logprobs=2).choices[0].logprobs
    assert logprobs is not None
    assert len(logprobs.tokens or ()) == len(logprobs.top_logprobs or ()) > 0
    plain = openai_client.completions.create(**asked)
    lenient = OpenAI(base_url=openai_client.base_url, api_key="none", max_retries=0)  # its types know no open choice
    pieces = list(lenient.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert "".join(piece.choices[0].text for piece in pieces[:-1]) == plain.choices[0].text
    assert pieces[-2].choices[0].finish_reason == plain.choices[0].finish_reason
    assert pieces[-1].usage == plain.usage


def test_the_prompts_tokens_are_as_likely_as_when_they_were_chosen(http: httpx.Client) -> None:
    chosen = only(ask(http, prompt=IDS, logprobs=2, include=["warmturn.token_ids"]))
    ids = [*IDS, *chosen["warmturn"]["output_token_ids"]]
    echoed = only(ask(http, prompt=[ids], **LIKE_A_HARNESS))
    logprobs = echoed["logprobs"]
    assert len(logprobs["tokens"]) == len(logprobs["text_offset"]) == len(ids) + 1
    assert (logprobs["token_logprobs"][0], logprobs["top_logprobs"][0]) == (None, None)
    asked_about = slice(len(IDS), len(ids))
    assert logprobs["token_logprobs"][asked_about] == pytest.approx(chosen["logprobs"]["token_logprobs"], abs=1e-4)
    for likely, top in zip(logprobs["token_logprobs"][asked_about], logprobs["top_logprobs"][asked_about], strict=True):
        assert max(top.values()) == likely, "each was the likeliest"
    assert all(likely < 0 for likely in logprobs["token_logprobs"][1:])


def test_all_of_the_prompt_is_computed_for_that_and_it_says_so(http: httpx.Client) -> None:
    """In pieces, too: this prompt is longer than what is computed in a step."""
    ids = [3 + at % 300 for at in range(700)]
    ask(http, prompt=ids)
    for fields_ in ({"echo": True, "logprobs": 1}, {"prompt_logprobs": 1}):
        said = only(ask(http, prompt=ids, **fields_))
        assert (said["warmturn"]["cached_tokens"], said["warmturn"]["reuse"]) == (0, "prompt")
    assert only(ask(http, prompt=ids, echo=True))["warmturn"]["cached_tokens"] > 0, "the text alone needs no logits"
    ranked = only(ask(http, prompt=ids, prompt_logprobs=2))["prompt_logprobs"]
    assert ranked[0] is None
    assert len(ranked) == len(ids)
    assert all(str(token_id) in entry for token_id, entry in zip(ids[1:], ranked[1:], strict=True))


def test_nothing_but_the_prompt(http: httpx.Client) -> None:
    said = ask(http, prompt="the cat", max_tokens=0, echo=True, logprobs=0)
    assert only(said)["text"] == "the cat"
    assert said["usage"]["completion_tokens"] == 0
    assert "".join(only(said)["logprobs"]["tokens"]) == "the cat"


def test_a_stream_has_the_same_log_probabilities(http: httpx.Client) -> None:
    body = {**GREEDY, "prompt": [IDS, IDS[:5]], "logprobs": 1, "echo": True}
    whole = ask(http, **body)
    events = http.post(PATH, json={**body, "stream": True}).text.split("\n\n")
    pieces = [json.loads(event[6:])["choices"][0] for event in events if event.startswith("data: {")]
    for choice in whole["choices"]:
        own = [piece for piece in pieces if piece["index"] == choice["index"]]
        assert "".join(piece["text"] for piece in own) == choice["text"]
        for name in ("tokens", "token_logprobs", "text_offset"):
            told = [entry for piece in own if piece["logprobs"] for entry in piece["logprobs"][name]]
            assert told == choice["logprobs"][name]


def test_a_form_goes_with_it(http: httpx.Client) -> None:
    said = http.post(PATH, json={"prompt": "the", "guided_choice": ["yes", "no"], "seed": 1}).json()
    assert (only(said)["text"] in ("yes", "no"), only(said)["finish_reason"]) == (True, "stop")


def test_every_published_field_is_decided_on() -> None:
    names = fields(*published(completion_create_params))
    assert len(names) > 15
    assert names | set(CreateBareCompletion.model_fields) <= CreateBareCompletion.fields_of.decided


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({}, "prompt"),
        ({"prompt": "x", "suffix": "y"}, "suffix"),
        ({"prompt": "x", "best_of": 2}, "best_of"),
        ({"prompt": "x", "n": 2, "best_of": 1}, "best_of"),
        ({"prompt": "x", "n": 33}, "n"),
        ({"prompt": ["x"] * 50, "n": 3}, "n"),
        ({"prompt": "x", "messages": [{}]}, "messages"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "x", "logprobs": 21}, "logprobs"),
        ({"prompt": "x", "include": ["warmturn.lookback"]}, "include"),
        ({"prompt": [1, 10**6]}, None),
    ],
)
def test_what_cannot_be_is_refused(http: httpx.Client, body: dict[str, Any], param: str | None) -> None:
    reply = http.post(PATH, json=body)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
