"""What a request wishes of its tokens, on both APIs, streamed and not."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from tests.support.models import IM_END
from tests.support.server import ServerProcess
from tests.support.talk import Json
from tests.support.tokenizer import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


@dataclass(frozen=True)
class Answer:
    text: str
    token_ids: list[int]
    finish: str


@dataclass(frozen=True)
class Api:
    http: httpx.Client
    name: str

    def ask(self, **options: object) -> Answer:
        """Greedy, at most 12 tokens, never ended by the model."""
        common: Json = {"temperature": 0, "ignore_eos": True, "include": ["warmturn.token_ids"], **options}
        reply = self.post(**common)
        assert reply.status_code == 200, reply.text
        said = reply.json()
        ids = said["warmturn"]["output_token_ids"]
        if self.name == "responses":
            reason = "stop" if said["status"] == "completed" else "length"
            return Answer(said["output"][0]["content"][0]["text"], ids, reason)
        choice = said["choices"][0]
        return Answer(choice["message"]["content"], ids, choice["finish_reason"])

    def post(self, **body: object) -> httpx.Response:
        if self.name == "responses":
            return self.http.post("/v1/responses", json={"input": "where?", "max_output_tokens": 12, **body})
        messages = [{"role": "user", "content": "where?"}]
        return self.http.post("/v1/chat/completions", json={"messages": messages, "max_tokens": 12, **body})


@pytest.fixture(scope="module", params=["responses", "completions"])
def api(shared_server: ServerProcess, request: pytest.FixtureRequest) -> Iterator[Api]:
    with shared_server.client() as http:
        yield Api(http, request.param)


def test_a_bias_makes_a_token_certain_or_impossible(api: Api) -> None:
    plain = api.ask()
    assert api.ask(logit_bias={"70": 100}).token_ids == [70] * 12
    assert plain.token_ids[0] not in api.ask(logit_bias={str(plain.token_ids[0]): -100}).token_ids
    assert api.ask(logit_bias={}) == plain


def test_a_stop_token_ends_the_reply_and_is_not_shown(api: Api) -> None:
    plain = api.ask()
    stop = plain.token_ids[5]
    cut = api.ask(stop_token_ids=[stop])
    count = plain.token_ids.index(stop)
    assert (cut.token_ids, cut.finish) == (plain.token_ids[: count + 1], "stop")
    assert cut.text == TOKENIZER.decode(plain.token_ids[:count]).rstrip("\ufffd")


def test_nothing_ends_a_reply_before_min_tokens(api: Api) -> None:
    certain = {"logit_bias": {str(IM_END): 100}, "ignore_eos": False}
    assert api.ask(**certain).token_ids == [IM_END]
    later = api.ask(**certain, min_tokens=4)
    assert (len(later.token_ids), later.token_ids[-1], later.finish) == (5, IM_END, "stop")
    stop = {"stop_token_ids": [70], "logit_bias": {"70": 100}}
    assert [len(api.ask(**stop, min_tokens=count).token_ids) for count in (0, 3)] == [1, 4]


def test_a_stop_string_counts_from_min_tokens_on(api: Api) -> None:
    letter = {"logit_bias": {str(TOKENIZER.token_to_id("a")): 100}, "stop": ["a"]}
    assert [api.ask(**letter, min_tokens=count).text for count in (0, 1, 4)] == ["", "a", "aaaa"]


def test_bad_words_are_not_said(api: Api) -> None:
    plain = api.ask()
    bad = [plain.text[1:3], plain.text[4:7]]
    clean = api.ask(bad_words=bad)
    assert len(clean.token_ids) == 12
    assert not [word for word in bad if word in clean.text]


def test_where_all_that_is_likely_is_forbidden_the_turn_fails(api: Api) -> None:
    vocabulary = {token: token_id for token, token_id in TOKENIZER.get_vocab().items() if token_id > IM_END}
    likely = {str(token_id): 100 for token, token_id in vocabulary.items() if set(token) & set("aeiou")}
    assert len(likely) > 32
    reply = api.post(temperature=0, bad_words=list("aeiou"), logit_bias=likely)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (400, "no_token_allowed", "bad_words")


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("logit_bias", {"5": 101}, "logit_bias"),
        ("logit_bias", {"cat": 1}, "logit_bias"),
        ("logit_bias", {"9999": 1}, "logit_bias"),
        ("logit_bias", {str(number): 1 for number in range(1025)}, "logit_bias"),
        ("logit_bias", {"5": None}, "logit_bias"),
        ("stop_token_ids", [-1], "stop_token_ids[0]"),
        ("stop_token_ids", [9999], "stop_token_ids"),
        ("stop_token_ids", [1] * 129, "stop_token_ids"),
        ("min_tokens", -1, "min_tokens"),
        ("min_tokens", 13, "min_tokens"),
        ("bad_words", ["x"] * 33, "bad_words"),
        ("bad_words", ["x" * 65], "bad_words[0]"),
        ("bad_words", [""], "bad_words[0]"),
    ],
)
def test_what_has_no_meaning_or_no_end_is_refused(api: Api, field: str, value: object, param: str) -> None:
    reply = api.post(**{field: value})
    error = reply.json()["error"]
    assert (reply.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"].startswith(param)
