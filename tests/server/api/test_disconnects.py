"""Clients that go away, that stop a turn, and that read nothing."""

import contextlib
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx
import pytest
from tests.support.models import TinyModels
from tests.support.redis_server import DURABLE, RedisServer
from tests.support.server import ServerProcess
from tests.support.talk import Json, Talk
from tests.support.waiting import wait_until

LONG: Json = {"input": "who?", "max_output_tokens": 1_900, "ignore_eos": True, "temperature": 0}
"""Seconds of work, if nobody stops it."""
ENDLESS: Json = {**LONG, "reuse": "nothing"}
"""Each token takes longer than the one before: nobody can be late for its middle."""


def running(server: ServerProcess) -> int:
    with server.client() as http:
        return int(http.get("/v1/stats").json()["running"])


def wait_until_running(server: ServerProcess) -> None:
    wait_until(lambda: running(server), "it does not run")


def wait_until_idle(server: ServerProcess) -> None:
    wait_until(lambda: not running(server), "it goes on")


@contextmanager
def stopped_early(server: ServerProcess) -> Iterator[None]:
    """What runs within is over soon, and was not ended."""
    before = generated(server)
    yield
    wait_until_idle(server)
    assert generated(server) - before < ENDLESS["max_output_tokens"]


def generated(server: ServerProcess) -> int:
    with server.client() as http:
        return int(http.get("/v1/stats").json()["totals"]["tokens_generated"])


def test_a_stream_that_nobody_reads_stops(shared_server: ServerProcess) -> None:
    asked = {**ENDLESS, "stream": True}
    with (
        stopped_early(shared_server),
        shared_server.client() as http,
        http.stream("POST", "/v1/responses", json=asked) as reply,
    ):
        lines = reply.iter_lines()  # kept: one that is let go of closes the stream
        next(lines)
        wait_until_running(shared_server)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_a_reply_that_nobody_waits_for_stops(shared_server: ServerProcess, path: str) -> None:
    stateless = {"max_tokens": 1_900, "messages": [{"role": "user", "content": "who?"}], "ignore_eos": True}
    body = ENDLESS if path == "/v1/responses" else {**stateless, "reuse": "nothing"}
    impatient = shared_server.client(timeout_seconds=0.5)
    with stopped_early(shared_server), impatient as http, pytest.raises(httpx.ReadTimeout):
        http.post(path, json=body)


def test_nothing_of_it_is_kept(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        made = http.post("/v1/conversations").json()["id"]
        with http.stream("POST", "/v1/responses", json={**ENDLESS, "stream": True, "conversation": made}) as reply:
            lines = reply.iter_lines()
            next(lines)
        wait_until_idle(shared_server)
        assert http.get(f"/v1/conversations/{made}/items").json()["data"] == []
        again = {"input": "who?", "conversation": made, "max_output_tokens": 2}
        assert http.post("/v1/responses", json=again).status_code == 200


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def keeping(
    request: pytest.FixtureRequest, tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """One server on each of the logs; it gives a reader up soon."""
    folder, environment = tmp_path_factory.mktemp("keeping"), {"WARMTURN_READER_SECONDS": "0.5"}
    with ExitStack() as running:
        options: list[str] = []
        if request.param == "redis":
            redis = running.enter_context(RedisServer(folder / "redis", *DURABLE))
            options = ["--log", "redis", "--redis", redis.url]
        server = ServerProcess(tiny_models(), folder / "data", *options, environment=environment)
        yield running.enter_context(server)


def stop_reading(talk: Talk, num_deltas: int, **options: object) -> tuple[str, str]:
    """The id of a turn that is left in the middle of its reply, and what it said until then."""
    text, response_id = "", ""
    for event in talk.stream("who?", **{**LONG, **options}):
        if event["type"] == "response.created":
            response_id = event["response"]["id"]
        if event["type"] == "response.output_text.delta":
            text, num_deltas = text + event["delta"], num_deltas - 1
        if num_deltas == 0:
            break
    return response_id, text


@pytest.mark.parametrize("keeps", [True, False])
def test_who_goes_away_finds_what_was_seen_if_that_was_asked_for(keeping: ServerProcess, keeps: bool) -> None:
    with keeping.client() as http:
        talk = Talk.begin(http)
        response_id, seen = stop_reading(talk, 20, on_disconnect="keep" if keeps else "discard")
        said = talk.say("where?", max_output_tokens=4)
        texts = talk.texts()
        assert texts[-2:] == ["where?", said.text]
        stored = http.get(f"/v1/responses/{response_id}")
        if not keeps:
            assert (texts[:-2], stored.status_code) == ([], 404)
            return
        assert texts[0] == "who?"
        assert texts[1].startswith(seen)
        reply = stored.json()
        assert (reply["status"], reply["incomplete_details"]) == ("incomplete", None)
        assert 20 <= reply["usage"]["output_tokens"] < LONG["max_output_tokens"]
        assert said.cached > 0


@pytest.mark.parametrize("keeps", [True, False])
def test_after_a_cancel_the_conversation_takes_the_next_turn_at_once(keeping: ServerProcess, keeps: bool) -> None:
    with keeping.client() as http, keeping.client() as another:
        for _ in range(5):
            talk = Talk.begin(http)
            events = talk.stream("who?", **{**LONG, "on_disconnect": "keep" if keeps else "discard"})
            response_id = next(event["response"]["id"] for event in events if event["type"] == "response.created")
            stopped = another.post(f"/v1/responses/{response_id}/cancel").json()
            assert stopped["status"] == ("incomplete" if keeps else "cancelled")
            Talk(another, talk.id).say("where?", max_output_tokens=1)
            assert len(talk.texts()) == (4 if keeps else 2)
            *_, last = events
            assert (last["type"], last["response"]["status"]) == ("response.incomplete", stopped["status"])


def test_what_a_stateless_client_stopped_is_gone_on_from(keeping: ServerProcess) -> None:
    """On the very ids that were generated, which this model rarely chooses as the tokenizer would."""
    cached = {}
    for choice in ("discard", "keep"):
        asked = [{"role": "user", "content": f"Who is it that is to be stopped? {choice}"}]
        seen = see_some(keeping, {"messages": asked, "on_disconnect": choice})
        again = [*asked, {"role": "assistant", "content": seen}, {"role": "user", "content": "And now?"}]
        with keeping.client() as http:
            report = http.post("/v1/chat/completions", json={"messages": again, "max_tokens": 1}).json()["warmturn"]
        cached[choice] = report["cached_tokens"]
    assert cached["keep"] > cached["discard"] + 8


def see_some(server: ServerProcess, body: Json) -> str:
    """What a stateless client saw of a reply before it stopped to read."""
    common: Json = {"temperature": 0, "max_tokens": 1_900, "ignore_eos": True, "stream": True}
    seen = ""
    with server.client() as http, http.stream("POST", "/v1/chat/completions", json={**common, **body}) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: "):
                seen += json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content") or ""
            if len(seen) >= 40:
                break
    wait_until_idle(server)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("keeps", [True, False])
def test_who_reads_nothing_holds_neither_conversation_nor_connection(keeping: ServerProcess, keeps: bool) -> None:
    address = urlsplit(keeping.base_url)
    with keeping.client() as http, socket.socket() as stalled:
        talk = Talk.begin(http)
        options = {"stream": True, "top_logprobs": 20, "on_disconnect": "keep" if keeps else "discard"}
        body = json.dumps(talk.body("who?", **{**LONG, **options})).encode()
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect((address.hostname, address.port))
        head = f"POST /v1/responses HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        stalled.sendall(head.encode() + body)
        wait_until_running(keeping)
        wait_until(
            lambda: http.post("/v1/responses", json=talk.body("x")).status_code == 200, "it holds its conversation"
        )
        wait_until_idle(keeping)
        stalled.settimeout(30)
        with contextlib.suppress(ConnectionResetError):
            while stalled.recv(65_536):
                pass


def test_a_stop_that_is_no_word_of_ours_is_refused(shared_server: ServerProcess) -> None:
    with shared_server.client() as http:
        for path, body in (
            ("responses", {"input": "x"}),
            ("chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
        ):
            refused = http.post(f"/v1/{path}", json={**body, "on_disconnect": "retain"})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "on_disconnect")
