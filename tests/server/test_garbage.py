"""A turn that is over is gone at once: nothing of it waits for the garbage collector, which may not run for long.

Cycles keep everything that they lead to, and a turn leads to the memory of its state. Objects of libraries that are in
no hurry to go are fine, as long as nothing of ours hangs on them.
"""

import gc
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice

import httpx
import pytest
import torch
from tests.support.in_thread import Held, ServerInThread, serving
from tests.support.models import TinyModels
from tests.support.talk import Json, checked
from tests.support.waiting import wait_until

from warmturn_server.chat import ChatService, StoreFailed
from warmturn_server.engine.model.executor import Work
from warmturn_server.engine.model.runner import ModelRunner

pytestmark = pytest.mark.slow

TURNS = 3
LONG = 1_500
ASKED: Json = {
    "input": "who is there, and what do they want?",
    "messages": [{"role": "user", "content": "who is there, and what do they want?"}],
}
LENGTHS = {"/v1/responses": "max_output_tokens", "/v1/chat/completions": "max_tokens"}
both_apis = pytest.mark.parametrize("path", LENGTHS)
streamed_or_not = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def server(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInThread]:
    """Every turn that reuses something is computed once more in the background."""
    with serving(tiny_models(), tmp_path_factory.mktemp("garbage"), control_rate=1.0) as server:
        gc.collect()
        gc.freeze()  # all that was imported need not be looked through again and again
        yield server
        gc.unfreeze()


@pytest.fixture
def client(server: ServerInThread) -> Iterator[httpx.Client]:
    with server.client() as client:
        client.headers["connection"] = "close"  # after a failure the server closes it
        yield client


def body(path: str, length: int = 8, **options: object) -> Json:
    own = "input" if path == "/v1/responses" else "messages"
    return {own: ASKED[own], LENGTHS[path]: length, "temperature": 0, "ignore_eos": True, **options}


def send(client: httpx.Client, path: str, asked: Json) -> int:
    with client.stream("POST", path, json=asked) as reply:
        reply.read()
        return reply.status_code


def assert_leaves_no_garbage(server: ServerInThread, turn: Callable[[], object]) -> None:
    """`turn` is done once beforehand: what is only made the first time may stay."""
    turn()
    settle(server)
    before = server.held()
    with collecting_nothing():
        for _ in range(TURNS):
            turn()
        settle(server)
        left = garbage()
    assert not left, f"left to the garbage collector by {TURNS} turns: {dict(left)}"
    more = f"more is held than {before} of before {TURNS} turns"
    wait_until(lambda: is_no_more(server.held(), before), more, seconds=10)


def is_no_more(held: Held, before: Held) -> bool:
    """Pools of threads grow to their size, one at a time; nothing else does."""
    return (
        held.tasks <= before.tasks
        and held.descriptors <= before.descriptors + 1
        and held.threads < before.threads + TURNS
    )


def settle(server: ServerInThread) -> None:
    stats = server.engine.stats
    wait_until(lambda: not (stats()["running"] or stats()["waiting"]), "a turn does not end")
    server.engine.flush()
    with server.client() as client:  # once round the event loop, which lets go of what it has ended
        client.get("/health")


@contextmanager
def collecting_nothing() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def garbage() -> Counter[str]:
    """Ours, and tensors, by type."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    types = Counter(type(left) for left in gc.garbage)
    return Counter({kind.__qualname__: count for kind, count in types.items() if is_ours(kind)})


def is_ours(kind: type) -> bool:
    return issubclass(kind, torch.Tensor) or kind.__module__.startswith("warmturn_server")


def test_a_cycle_would_be_found(server: ServerInThread) -> None:
    def leave_one() -> None:
        tensor = torch.zeros(1)
        tensor.itself = tensor  # type: ignore[attr-defined]

    with pytest.raises(AssertionError, match=r"'Tensor': 3"):
        assert_leaves_no_garbage(server, leave_one)


@both_apis
@streamed_or_not
def test_turns(server: ServerInThread, client: httpx.Client, path: str, stream: bool) -> None:
    def turn() -> None:
        assert send(client, path, body(path, stream=stream)) == 200

    assert_leaves_no_garbage(server, turn)


@pytest.mark.parametrize(
    "options",
    [
        {"reuse": "prompt"},
        {"reuse": "nothing"},
        {"include": ["warmturn.lookback"]},
        {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
        {"temperature": 1, "presence_penalty": 1, "top_p": 0.9},
    ],
    ids=["prompt", "nothing", "look-back", "logprobs", "sampled"],
)
def test_other_ways_to_have_a_turn(server: ServerInThread, client: httpx.Client, options: Json) -> None:
    def turn() -> None:
        assert send(client, "/v1/responses", body("/v1/responses", **options)) == 200

    assert_leaves_no_garbage(server, turn)


def test_conversations_that_are_restored_forked_warmed_and_deleted(
    server: ServerInThread, client: httpx.Client
) -> None:
    def turn() -> None:
        made = checked(client.post("/v1/conversations", json={}))["id"]
        asked = body("/v1/responses", conversation=made, input="a longer text " * 20)
        assert send(client, "/v1/responses", asked) == 200
        server.engine.flush()
        server.engine.evict_idle()
        assert send(client, "/v1/responses", asked) == 200
        fork = checked(client.post(f"/v1/conversations/{made}/fork"))["id"]
        checked(client.post(f"/v1/conversations/{fork}/warm"))
        for conversation in (made, fork):
            checked(client.delete(f"/v1/conversations/{conversation}"))

    assert_leaves_no_garbage(server, turn)


@both_apis
def test_a_client_that_leaves_a_stream(server: ServerInThread, path: str) -> None:
    def turn() -> None:
        with server.client() as client, client.stream("POST", path, json=body(path, LONG, stream=True)) as reply:
            assert len(list(islice(reply.iter_lines(), 8))) == 8

    assert_leaves_no_garbage(server, turn)


@both_apis
def test_a_client_that_does_not_wait(server: ServerInThread, path: str) -> None:
    def turn() -> None:
        with server.client(timeout_seconds=0.1) as client, suppress(httpx.ReadTimeout):
            client.post(path, json=body(path, LONG))

    assert_leaves_no_garbage(server, turn)


def test_a_turn_that_is_cancelled_and_one_that_it_kept_out(server: ServerInThread, client: httpx.Client) -> None:
    def turn() -> None:
        made = checked(client.post("/v1/conversations", json={}))["id"]
        asked = body("/v1/responses", LONG, conversation=made)
        with server.client() as other, other.stream("POST", "/v1/responses", json={**asked, "stream": True}) as reply:
            assert send(client, "/v1/responses", asked) == 409
            checked(client.post(f"/v1/responses/{reply.headers['x-warmturn-response']}/cancel"))
            reply.read()

    assert_leaves_no_garbage(server, turn)


def failing_log(*_: object) -> None:
    raise StoreFailed("it cannot be written")


def failing_model(*_: object) -> None:
    raise RuntimeError(f"it cannot be computed: {torch.zeros(3).sum()}")


_forward = ModelRunner.forward


def numbers_that_are_none(self: ModelRunner, step: Sequence[Work]) -> torch.Tensor:
    return _forward(self, step) * torch.nan


def broken(*_: object) -> None:
    raise ZeroDivisionError


@both_apis
@streamed_or_not
@pytest.mark.parametrize(
    ("place", "name", "failure"),
    [
        (ChatService, "_commit", failing_log),
        (ChatService, "_commit", broken),
        (ModelRunner, "forward", failing_model),
        (ModelRunner, "forward", numbers_that_are_none),
    ],
    ids=["log", "code", "model", "no numbers"],
)
def test_turns_that_fail(
    server: ServerInThread,
    client: httpx.Client,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    stream: bool,
    place: type,
    name: str,
    failure: Callable[..., object],
) -> None:
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # pytest keeps what is logged
    monkeypatch.setattr(place, name, failure)

    def turn() -> None:
        assert send(client, path, body(path, stream=stream)) in ([200] if stream else [500, 503])

    assert_leaves_no_garbage(server, turn)


def test_requests_that_are_refused(server: ServerInThread, client: httpx.Client) -> None:
    refused: list[Json] = [
        {"input": "hello " * 5_000},
        {"input": "hello", "conversation": "conv_none"},
        {"input": "hello", "temperature": -1},
        {"input": "hello", "model": "another"},
        {},
    ]

    def turn() -> None:
        for asked in refused:
            assert send(client, "/v1/responses", asked) in (400, 404)
        assert client.post("/v1/responses", content=b"{").status_code == 400
        assert client.post("/v1/responses", content=b"x" * 2**21).status_code == 413

    assert_leaves_no_garbage(server, turn)


def test_what_operators_and_people_look_at(server: ServerInThread, client: httpx.Client) -> None:
    def turn() -> None:
        for path in ("/", "/metrics", "/v1/stats", "/ready", "/health", "/v1/models", "/v1/conversations"):
            assert client.get(path).status_code == 200

    assert_leaves_no_garbage(server, turn)
