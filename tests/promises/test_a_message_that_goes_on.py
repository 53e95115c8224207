"""A reply that the client began: the model goes on with it, and the log has one message, as the model saw it."""

from collections.abc import Iterator

import httpx
import pytest
from tests.promises.test_the_same_request import TOKENIZER, Client, Messages, decoded, every_client, rendered
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk, checked

OPENING = "My name is An"
GREEDY = {"temperature": 0, "ignore_eos": True}
GOES_ON = {"continue_final_message": True}


@pytest.fixture(scope="module")
def http(shared_server: ServerProcess) -> Iterator[httpx.Client]:
    with shared_server.client() as client:
        yield client


def messages_of(*texts: str) -> Messages:
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(texts)]


@every_client
@pytest.mark.parametrize("opening", [OPENING, " spaced \n", ">", "|im_end|", "日本"])
def test_the_prompt_ends_within_the_message(http: httpx.Client, stateful: bool, streams: bool, opening: str) -> None:
    messages = messages_of("who?", opening)
    text, report = Client(http, stateful, streams).ask(None, messages, **GREEDY, **GOES_ON)
    assert decoded(report["prompt_token_ids"]) == rendered(messages[:1]) + opening
    said = TOKENIZER.backend_tokenizer.decode(report["output_token_ids"]).rstrip("\ufffd")
    assert text == (opening + said if stateful else said)


def test_a_conversation_has_one_message_and_goes_on_from_its_state(http: httpx.Client) -> None:
    talk = Talk.begin(http)
    talk.say("hello")
    given = messages_of("who?", OPENING)
    first = checked(http.post("/v1/responses", json={**talk.body(""), "input": given, **GREEDY, **GOES_ON}))
    whole = first["output"][0]["content"][0]["text"]
    assert whole.startswith(OPENING) and len(whole) > len(OPENING)
    assert talk.texts()[2:] == ["who?", whole]
    found = http.get(f"/v1/responses/{first['id']}").json()
    assert found["output"][0]["content"][0]["text"] == whole
    second = talk.say("and?")
    assert second.report["miss"] is None
    assert second.cached >= first["warmturn"]["prompt_tokens"]
    assert decoded(list(second.prompt)) == rendered(messages_of(*talk.texts()[:-1]))


def test_who_resends_it_goes_on_from_its_state_too(http: httpx.Client) -> None:
    client = Client(http, stateful=False, streams=False)
    said, first = client.ask(None, messages_of("where?", OPENING), **GREEDY, **GOES_ON)
    again = messages_of("where?", OPENING + said, "and?")
    _, second = client.ask(None, again, **GREEDY)
    assert second["cached_tokens"] >= first["prompt_tokens"]
    assert decoded(second["prompt_token_ids"]) == rendered(again)


@every_client
def test_without_the_beginning_of_a_reply_the_prompt_is_what_was_said(
    http: httpx.Client, stateful: bool, streams: bool
) -> None:
    _, report = Client(http, stateful, streams).ask(None, messages_of("who?"), **GREEDY, add_generation_prompt=False)
    assert decoded(report["prompt_token_ids"]) == rendered(messages_of("who?")).removesuffix("<|im_start|>assistant\n")


@pytest.mark.parametrize(
    ("given", "options", "param"),
    [
        (messages_of("who?"), GOES_ON, "continue_final_message"),
        (messages_of("who?", ""), GOES_ON, "continue_final_message"),
        (messages_of("who?", "An"), {**GOES_ON, "add_generation_prompt": True}, "add_generation_prompt"),
    ],
)
def test_what_cannot_go_on_is_refused(
    http: httpx.Client, given: Messages, options: dict[str, object], param: str
) -> None:
    bodies: dict[str, Json] = {"responses": {"input": given}, "chat/completions": {"messages": given}}
    for path, body in bodies.items():
        reply = http.post(f"/v1/{path}", json={**body, **options})
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)
