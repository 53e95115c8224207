"""Promise 8: a request means what it says, whatever the server generated before; the next prompt is what was shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk, checked
from tests.support.templates import CHATML
from tests.support.tokenizer import chat_tokenizer

TOKENIZER = chat_tokenizer(CHATML)
INCLUDE = ["warmturn.token_ids"]
Messages = list[dict[str, str]]


@pytest.fixture(scope="module")
def http(shared_server: ServerProcess) -> Iterator[httpx.Client]:
    with shared_server.client() as client:
        yield client


def rendered(messages: Messages) -> str:
    text = TOKENIZER.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert isinstance(text, str)
    return text


def decoded(token_ids: list[int]) -> str:
    return TOKENIZER.backend_tokenizer.decode(token_ids, skip_special_tokens=False)


def canonical(messages: Messages) -> list[int]:
    """What a server that generated nothing yet makes of them."""
    return TOKENIZER.backend_tokenizer.encode(rendered(messages), add_special_tokens=False).ids


@dataclass
class Client:
    """One way to have a conversation: with the server's record or without, streaming or not."""

    http: httpx.Client
    stateful: bool
    streams: bool

    def begin(self) -> "Dialogue":
        return Dialogue(self, Talk.begin(self.http).id if self.stateful else None, [])

    def ask(self, conversation: str | None, messages: Messages, **options: object) -> tuple[str, Json]:
        """What was shown, and the extension object."""
        body: Json = {"include": INCLUDE, "stream": self.streams, **options}
        if not self.stateful:
            return self._completion({**body, "messages": messages})
        if conversation is None:
            return self._response({**body, "input": messages})
        return self._response({**body, "conversation": conversation, "input": messages[-1]["content"]})

    def _completion(self, body: Json) -> tuple[str, Json]:
        body["max_tokens"] = body.pop("max_output_tokens", 12)
        reply = self.http.post("/v1/chat/completions", json=body)
        if not self.streams:
            whole = checked(reply)
            return whole["choices"][0]["message"]["content"], whole["warmturn"]
        chunks = events_of(reply)
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
        return text, chunks[-1]["warmturn"]

    def _response(self, body: Json) -> tuple[str, Json]:
        reply = self.http.post("/v1/responses", json={"max_output_tokens": 12, **body})
        if not self.streams:
            whole = checked(reply)
            return whole["output"][0]["content"][0]["text"], whole["warmturn"]
        events = events_of(reply)
        deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
        return "".join(deltas), events[-1]["response"]["warmturn"]


@dataclass
class Dialogue:
    client: Client
    conversation: str | None
    messages: Messages

    def say(self, text: str, **options: object) -> Json:
        self.messages.append({"role": "user", "content": text})
        self.asked = list(self.messages)
        answer, report = self.client.ask(self.conversation, self.messages, **options)
        self.messages.append({"role": "assistant", "content": answer})
        return report


def events_of(reply: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in reply.text.splitlines() if line.startswith("data: {")]
    return [httpx.Response(200, text=line).json() for line in lines]


every_client = pytest.mark.parametrize(
    ("stateful", "streams"),
    [(True, False), (True, True), (False, False), (False, True)],
    ids=["responses", "responses, streaming", "completions", "completions, streaming"],
)


@every_client
def test_after_a_cut_within_a_character_the_prompt_is_what_was_shown(
    http: httpx.Client, stateful: bool, streams: bool
) -> None:
    cut = 0
    for seed in range(20):
        dialogue = Client(http, stateful, streams).begin()
        first = dialogue.say("smile", temperature=2, seed=seed, max_output_tokens=1 + seed % 3, ignore_eos=True)
        cut += decoded(first["output_token_ids"]).endswith("\ufffd")
        second = dialogue.say("and?", temperature=0, max_output_tokens=1)
        assert decoded(second["prompt_token_ids"]) == rendered(dialogue.asked)
        assert second["miss"] is None
    assert cut > 2, "none of these was the case that this is about"


@every_client
def test_a_stop_string_of_the_clients_own_is_no_rewrite(http: httpx.Client, stateful: bool, streams: bool) -> None:
    probe = Client(http, stateful, streams).begin()
    probe.say("where?", temperature=0, ignore_eos=True)
    text = probe.messages[-1]["content"]
    dialogue = Client(http, stateful, streams).begin()
    first = dialogue.say("where?", temperature=0, ignore_eos=True, stop=[text[4:6]])
    assert dialogue.messages[-1]["content"] == text[: text.index(text[4:6])]
    second = dialogue.say("and?", temperature=0, max_output_tokens=1)
    assert decoded(second["prompt_token_ids"]) == rendered(dialogue.asked)
    assert second["miss"] is None
    assert second["cached_tokens"] >= first["prompt_tokens"]


def history(http: httpx.Client, first: str) -> Messages:
    """A server that has generated its last reply, whose ids are not those that its text is tokenised to."""
    dialogue = Client(http, stateful=False, streams=False).begin()
    dialogue.say(first, temperature=0, ignore_eos=True, max_output_tokens=40)
    messages = [*dialogue.messages, {"role": "user", "content": "and?"}]
    _, report = dialogue.client.ask(None, messages, temperature=0)
    assert report["prompt_token_ids"] != canonical(messages)
    assert (report["tokens"], decoded(report["prompt_token_ids"])) == ("record", rendered(messages))
    assert 0 < report["record_tokens"] < report["prompt_tokens"]
    return messages


@pytest.mark.parametrize(
    ("first", "options"),
    [
        ("who is it?", {"tokens": "canonical"}),
        ("who was it?", {"reuse": "nothing"}),
        ("how is it?", {"reuse": "prompt", "tokens": "canonical"}),
    ],
)
def test_canonical_tokens_do_not_depend_on_what_was_generated(
    http: httpx.Client, first: str, options: dict[str, str]
) -> None:
    messages, answers = history(http, first), list[str]()
    for stateful, streams in ((False, False), (False, True), (True, False), (True, True)):
        client = Client(http, stateful, streams)
        text, report = client.ask(None, messages, temperature=0, **options)
        assert report["prompt_token_ids"] == canonical(messages)
        assert (report["tokens"], report["record_tokens"], report["miss"]) == ("canonical", 0, None)
        answers.append(text)
    assert len(set(answers)) == 1, "saved state changes when an answer comes, never which"


def test_the_modes_say_the_same_to_clients_that_resend(http: httpx.Client) -> None:
    messages = history(http, "where is it?")
    stateless = Client(http, False, False)
    modes = ("state", "prompt", "nothing")
    answers = [stateless.ask(None, messages, temperature=0, tokens="record", reuse=mode) for mode in modes]
    prompts = [report["prompt_token_ids"] for _, report in answers]
    assert prompts[0] == prompts[1] == prompts[2] != canonical(messages)
    assert len({text for text, _ in answers}) == 1


def test_a_conversation_keeps_its_record_in_every_mode(http: httpx.Client) -> None:
    dialogue = Client(http, True, False).begin()
    dialogue.say("who?", temperature=0, ignore_eos=True)
    talk = Talk(http, str(dialogue.conversation))
    forks = [talk.fork().say("and?", reuse=mode) for mode in ("state", "prompt", "nothing")]
    assert {fork.prompt for fork in forks} == {forks[0].prompt}
    assert {fork.text for fork in forks} == {forks[0].text}
    assert {fork.report["tokens"] for fork in forks} == {"record"}


def test_a_conversation_goes_on_with_canonical_tokens_if_asked(http: httpx.Client) -> None:
    """From then on these are its record."""
    dialogue = Client(http, True, False).begin()
    dialogue.say("who?", temperature=0, ignore_eos=True)
    asked = dialogue.say("and?", temperature=0, ignore_eos=True, tokens="canonical")
    assert asked["prompt_token_ids"] == canonical(dialogue.asked)
    assert (asked["tokens"], asked["miss"]) == ("canonical", None)
    later = dialogue.say("so?", temperature=0)
    kept = [*asked["prompt_token_ids"], *asked["output_token_ids"]]
    assert later["prompt_token_ids"][: len(kept)] == kept
    assert later["tokens"] == "record"


def test_after_a_reply_that_was_stopped_and_kept_the_prompt_is_what_was_shown(shared_server: ServerProcess) -> None:
    """Wherever it was stopped, within a character too."""
    with shared_server.client() as http, shared_server.client() as another:
        for seed in range(8):
            talk, wild = Talk.begin(http), {"temperature": 2, "seed": seed, "ignore_eos": True}
            events = talk.stream("smile", on_disconnect="keep", max_output_tokens=900, **wild)
            response = next(events)["response"]["id"]
            for _ in range(4 + seed):
                next(events)
            assert another.post(f"/v1/responses/{response}/cancel").json()["status"] == "incomplete"
            assert list(events)[-1]["response"]["status"] == "incomplete"
            question, answer = talk.texts()
            asked = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            said = talk.say("and?", max_output_tokens=1)
            assert decoded(list(said.prompt)) == rendered([*asked, {"role": "user", "content": "and?"}])
            assert said.report["miss"] is None
