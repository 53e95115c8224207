"""The client against scripted replies: what it sends, what it makes of answers and of failures."""

import ssl
from collections.abc import Iterator

import httpx
import pytest
from tests.client.fake_server import FakeServer, reply_events, response, sse

from warmturn import (
    ApiError,
    Client,
    Miss,
    ProtocolError,
    ServerUnreachable,
    SettingsError,
    TextDelta,
    TurnEnded,
    TurnStarted,
    Warming,
    WarmturnError,
)
from warmturn.transport import trusted


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


def test_respond_sends_only_what_was_given(server: FakeServer) -> None:
    server.answers(200, json=response("hi"))
    server.client.respond("hello", conversation="conv_1", temperature=0.0, token_ids=True)
    assert server.asked == {
        "input": "hello",
        "stream": False,
        "conversation": "conv_1",
        "temperature": 0.0,
        "include": ["warmturn.token_ids"],
    }
    assert server.requests[-1].headers["authorization"] == "Bearer secret"


def test_respond_gives_a_typed_turn(server: FakeServer) -> None:
    miss = {"at_token": 512, "reason": "evicted"}
    server.answers(200, json=response("hi", miss=miss, output_token_ids=[5, 6], recompute_ms=None, novel="field"))
    turn = server.client.respond("hello")
    assert (turn.id, turn.text, turn.status, turn.conversation, turn.output_tokens) == (
        "resp_1",
        "hi",
        "completed",
        "conv_1",
        3,
    )
    assert turn.report.miss == Miss(512, "evicted")
    assert turn.report.output_token_ids == (5, 6)
    assert turn.report.prompt_token_ids is None
    assert turn.report.recompute_ms is None


def test_stream_gives_typed_events(server: FakeServer) -> None:
    server.answers(200, content=sse(*reply_events("Hel", "lo"), {"type": "later"}))
    with server.client.stream("hello") as stream:
        events = list(stream)
    assert events[:3] == [TurnStarted("resp_1"), TextDelta("Hel"), TextDelta("lo")]
    assert events[3] == TurnEnded(stream.turn)
    assert stream.turn.text == "Hello"


def test_a_turn_cut_at_its_token_limit_is_a_turn(server: FakeServer) -> None:
    server.answers(200, content=sse({"type": "response.incomplete", "response": response("He", status="incomplete")}))
    with server.client.stream("hello") as stream:
        assert [event.turn.incomplete_reason for event in stream if isinstance(event, TurnEnded)] == [
            "max_output_tokens"
        ]


def test_nothing_is_sent_before_a_stream_is_entered(server: FakeServer) -> None:
    stream = server.client.stream("hello")
    assert server.requests == []
    with pytest.raises(WarmturnError, match="read the stream"):
        _ = stream.turn


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "message": "out of luck", "code": "engine_failed", "param": None},
        {"type": "error", "error": {"message": "out of luck", "code": "engine_failed"}},
        {"type": "response.failed", "response": {"error": {"message": "out of luck", "code": "engine_failed"}}},
    ],
)
def test_a_failure_in_mid_stream_is_raised(server: FakeServer, event: dict[str, object]) -> None:
    server.answers(200, content=sse(*reply_events("Hel")[:3], event))
    with pytest.raises(ApiError, match="out of luck") as failure, server.client.stream("hello") as stream:
        list(stream)
    assert failure.value.code == "engine_failed"


def test_a_stream_that_just_ends_is_not_taken_for_a_whole_answer(server: FakeServer) -> None:
    server.answers(200, content=sse(*reply_events("Hel")[:3]))
    with pytest.raises(ProtocolError, match="middle of a turn"), server.client.stream("hello") as stream:
        list(stream)


def test_errors_carry_openais_fields(server: FakeServer) -> None:
    error = {"message": "no such response", "code": "previous_response_not_found", "param": "previous_response_id"}
    server.answers(400, json={"error": error})
    for call in (lambda: server.client.respond("x"), lambda: server.client.stream("x").__enter__()):
        with pytest.raises(ApiError) as failure:
            call()
        found = (failure.value.status, failure.value.code, failure.value.param, str(failure.value))
        assert found == (400, error["code"], error["param"], error["message"])


@pytest.mark.parametrize("body", [b"<html>", b'{"detail": "x"}', b"[1]", b'{"error": "flat"}'])
def test_an_error_in_any_other_shape_is_still_an_api_error(server: FakeServer, body: bytes) -> None:
    server.answers(502, content=body)
    with pytest.raises(ApiError, match="HTTP 502"):
        server.client.stats()


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"id": "resp_1"}'])
def test_an_answer_of_some_other_server_is_a_protocol_error(server: FakeServer, body: bytes) -> None:
    server.answers(200, content=body)
    with pytest.raises(ProtocolError):
        server.client.respond("x")


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (httpx.ConnectError("refused"), "warmturn serve"),
        (httpx.ReadTimeout("late"), "in time"),
        (httpx.ReadError("cut"), "broke"),
    ],
)
def test_failures_of_the_network_are_one_error(failure: httpx.TransportError, message: str) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise failure

    client = Client("http://test", transport=httpx.MockTransport(fail))
    with pytest.raises(ServerUnreachable, match=message):
        client.models()
    with pytest.raises(ServerUnreachable, match=message), client.stream("x"):
        raise AssertionError("entered")


def test_a_connection_that_breaks_in_mid_stream_is_unreachable_inside_the_block_too(server: FakeServer) -> None:
    class Cut(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from sse(*reply_events("Hel")[:3])
            raise httpx.RemoteProtocolError("cut")

    server.answers(200, stream=Cut())
    with server.client.stream("x") as stream, pytest.raises(ServerUnreachable, match="broke"):
        list(stream)


def test_leaving_a_stream_early_closes_the_connection(server: FakeServer) -> None:
    class Endless(httpx.SyncByteStream):
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            yield from sse(*reply_events("Hel")[:3])
            raise AssertionError("read on after the block was left")

        def close(self) -> None:
            self.closed = True

    endless = Endless()
    server.answers(200, stream=endless)
    with server.client.stream("x") as stream:
        assert next(stream.text()) == "Hel"
        assert not endless.closed
    assert endless.closed


def test_lists_are_read_page_by_page() -> None:
    pages = {None: (["a", "b"], True), "b": (["c"], False)}

    def page(request: httpx.Request) -> httpx.Response:
        ids, more = pages[request.url.params.get("after")]
        data = [{"id": one, "created_at": 1, "metadata": {"title": one.upper()}} for one in ids]
        return httpx.Response(200, json={"object": "list", "data": data, "last_id": ids[-1], "has_more": more})

    client = Client("http://test", transport=httpx.MockTransport(page))
    assert [conversation.title for conversation in client.conversations.list()] == ["A", "B", "C"]


def test_ready_tells_a_server_that_still_starts(server: FakeServer) -> None:
    server.answers(503, json={"status": "starting"})
    assert not server.client.ready()
    server.answers(200, json={"status": "ready"})
    assert server.client.ready().detail == {"status": "ready"}


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(SettingsError, match="address"):
        Client(url)


def test_the_v1_of_openai_clients_is_dropped() -> None:
    assert Client("http://test:80/v1/").base_url == "http://test:80"


@pytest.mark.parametrize(
    "key", ["sekrét→", "sekret\n", "sekret\r\nX: y", "sek\x00ret", "sek\x7fret", "sekret ", " sekret"]
)
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(SettingsError, match="API key") as refused:
        Client("http://test", api_key=key)
    assert "sek" not in str(refused.value)


def test_warming_tells_what_the_server_knows(server: FakeServer) -> None:
    server.answers(200, json={"status": "started", "tokens": 90, "tokens_by_tier": {"ram": 0, "disk": 90}})
    assert server.client.conversations.warm("conv_1") == Warming("started", 90, {"ram": 0, "disk": 90})
    assert server.requests[-1].url.path == "/v1/conversations/conv_1/warm"
    server.answers(200, json={"status": "started", "tokens": 90, "tokens_by_tier": None})
    assert server.client.conversations.warm("conv_1").tokens_by_tier is None
    server.answers(200, json={"status": "started"})
    with pytest.raises(ProtocolError, match="warming"):
        server.client.conversations.warm("conv_1")


def test_an_id_is_one_part_of_a_path_whatever_is_in_it(server: FakeServer) -> None:
    server.answers(404, json={"error": {"message": "not found"}})
    conversations = server.client.conversations
    calls = {
        "/v1/conversations/%s": conversations.get,
        "/v1/conversations/%s/items?limit=100&order=asc": lambda name: list(conversations.items(name)),
        "/v1/conversations/conv_1/items/%s": lambda name: conversations.delete_item("conv_1", name),
        "/v1/responses/%s?include=warmturn.lookback": server.client.look_back,
    }
    for path, call in calls.items():
        for name, quoted in {"a?x=1": "a%3Fx%3D1", "a\nb\tc": "a%0Ab%09c", "a%2Fb": "a%252Fb", "\udcff": "%3F"}.items():
            with pytest.raises(ApiError, match="not found"):
                call(name)
            assert server.requests[-1].url.raw_path.decode() == path % quoted


@pytest.mark.parametrize("name", ["", ".", "..", "conv_1/items", "/"])
def test_what_would_be_another_path_is_no_id(server: FakeServer, name: str) -> None:
    with pytest.raises(WarmturnError, match="no id"):
        server.client.conversations.delete(name)
    assert server.requests == []


def test_an_answer_that_cannot_be_decoded_is_a_protocol_error(server: FakeServer) -> None:
    class Garbled(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"never zipped"

    for call in (lambda: server.client.stats(), lambda: list(server.client.stream("x").__enter__())):
        server.answers(200, headers={"Content-Encoding": "gzip"}, stream=Garbled())
        with pytest.raises(ProtocolError, match="cannot be read"):
            call()


def test_an_address_too_long_to_be_asked_is_an_error_of_ours(server: FakeServer) -> None:
    with pytest.raises(SettingsError, match="too long"):
        server.client.conversations.get("a" * 70_000)


@pytest.mark.parametrize(
    ("url", "proxy", "loads_certificates"),
    [
        ("https://warmturn.example", None, True),
        ("http://127.0.0.1:8000", None, False),
        ("http://127.0.0.1:8000", "https://proxy.example", True),
    ],
)
def test_certificates_are_loaded_for_whom_they_can_check(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str | None, loads_certificates: bool
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if proxy:
        monkeypatch.setenv("http_proxy", proxy)
    context = trusted(url)
    assert (len(context.get_ca_certs()) > 0) is loads_certificates
    assert context.verify_mode is ssl.CERT_REQUIRED
