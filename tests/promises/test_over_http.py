"""The promises from outside: a real server process, killed and started again, with templates that rewrite history."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from tests.conftest import StartServer
from tests.support.models import END_OF_TEXT, IM_END, IM_START, TinyModels
from tests.support.reference import Reference, assert_greedy
from tests.support.server import ServerProcess
from tests.support.talk import Said, Talk, await_saved, checked, respond
from tests.support.tokenizer import as_shown, tiny_tokenizer

LINES = ("My name is Anna.", "My cat is Mio.", "Grüße aus Köln! 日本 👩‍👩‍👧", "What is my name?", "And my cat?")
MODES = ("state", "prompt", "nothing")


@pytest.fixture(scope="module")
def reference(tiny_models: TinyModels) -> Reference:
    return Reference(tiny_models())


@pytest.fixture(scope="module")
def servers(
    tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], ServerProcess]]:
    """One server for each template; all of them serve the same weights.

    What a template rewrites is not computed ahead: how much of it was would depend on when the next turn comes.
    """
    started: dict[str, ServerProcess] = {}

    def serve(template: str) -> ServerProcess:
        if template not in started:
            folder = tmp_path_factory.mktemp(template) / "data"
            server = ServerProcess(tiny_models(template=template), folder, "--block-size", "8", "--ahead", "off")
            started[template] = server.start()
        return started[template]

    yield serve
    for server in started.values():
        server.kill()


def known_after(turn: Said) -> int:
    """Tokens of a finished turn whose state exists: all but the last, which was only chosen."""
    return len(turn.known)


@pytest.mark.slow
@pytest.mark.parametrize("template", ["chatml", "strips_thinking", "dated", "clocked"])
def test_every_turn_says_what_the_model_says_with_any_template(
    servers: Callable[[str], ServerProcess], reference: Reference, template: str
) -> None:
    with servers(template).client() as client:
        talk = Talk.begin(client)
        turns = [talk.say(line) for line in LINES * 2]
    for turn in turns:
        assert_greedy(reference, turn.prompt, turn.output)
        assert turn.cached + turn.report["prefilled_tokens"] == turn.report["prompt_tokens"] == len(turn.prompt)
        assert sum(turn.report["cached_by_tier"].values()) == turn.cached


def in_plain_text(turn: Said) -> bool:
    """Whether the text says all that was generated: a special token in its middle has none, so that it rewrites."""
    return not set(turn.output[:-1]) & {END_OF_TEXT, IM_START, IM_END}


def test_turns_continue_the_very_tokens_of_the_record(
    servers: Callable[[str], ServerProcess], reference: Reference
) -> None:
    """Though what was generated does not tokenise to itself."""
    with servers("chatml").client() as client:
        talk = Talk.begin(client)
        turns = [talk.say(line, max_output_tokens=20) for line in LINES * 3]
    followed = [(before, turn) for before, turn in pairwise(turns) if in_plain_text(before)]
    assert len(followed) > len(turns) // 2
    for before, turn in followed:
        assert turn.prompt[: known_after(before)] == before.known
        assert turn.cached >= known_after(before)
        assert turn.report["miss"] is None
    assert any(tuple(tiny_tokenizer().encode(before.text).ids) != before.output for before, _ in followed)
    assert_greedy(reference, turns[-1].prompt, turns[-1].output)


def test_the_three_modes_say_the_same(servers: Callable[[str], ServerProcess], reference: Reference) -> None:
    """Every turn of a conversation, repeated on the same history in the other modes."""
    with servers("chatml").client() as client:
        last: Said | None = None
        for line in LINES * 2:
            more = {} if last is None else {"previous_response_id": last.id}
            said = {mode: respond(client, input=line, reuse=mode, ignore_eos=True, **more) for mode in MODES}
            assert len({(turn.prompt, turn.output, turn.text) for turn in said.values()}) == 1
            assert [said[mode].cached for mode in ("prompt", "nothing")] == [0, 0]
            assert last is None or said["state"].cached > 0
            last = said["state"]
    assert last is not None
    assert len(last.prompt) > 200
    assert_greedy(reference, last.prompt, last.output, ignore_eos=True)


def test_a_client_that_sends_everything_again_reuses_as_much(servers: Callable[[str], ServerProcess]) -> None:
    """Chat completions, streamed or not: the ids of record are found again by their text."""
    messages: list[dict[str, str]] = []
    known = 0
    with servers("chatml").client() as client:
        for line in LINES * 2:
            messages.append({"role": "user", "content": f"again: {line}"})
            body = {"messages": messages, "temperature": 0, "max_tokens": 24, "include": ["warmturn.token_ids"]}
            reply = checked(client.post("/v1/chat/completions", json=body))
            report = reply["warmturn"]
            assert report["cached_tokens"] >= known
            known = len(as_shown(report["prompt_token_ids"] + report["output_token_ids"])) - 1
            messages.append({"role": "assistant", "content": reply["choices"][0]["message"]["content"]})


def test_thinking_that_the_template_drops_costs_reuse_from_there_on_and_is_told(
    servers: Callable[[str], ServerProcess], reference: Reference
) -> None:
    with servers("strips_thinking").client() as client:
        talk, thought = a_reply_that_thinks(client)
        following = talk.say("And then?")
    shared = next(
        at for at, (old, new) in enumerate(zip(thought.token_ids, following.prompt, strict=False)) if old != new
    )
    assert len(thought.prompt) - 4 <= shared < known_after(thought)
    miss = following.report["miss"]
    assert miss["reason"] == "history_rewritten"
    assert miss["at_token"] == shared
    assert following.cached <= shared
    assert_greedy(reference, following.prompt, following.output)


def a_reply_that_thinks(client: httpx.Client) -> tuple[Talk, Said]:
    """A random model thinks now and then; ask until it does."""
    for number in range(200):
        talk = Talk.begin(client)
        talk.say("Hello.", max_output_tokens=4)
        said = talk.say(f"Think about {number}.", max_output_tokens=40, temperature=1, seed=number)
        if "</think>" in said.text and in_plain_text(said):
            return talk, said
    raise AssertionError("the model never thought")


def test_a_template_that_prints_the_time_is_never_wrong(
    servers: Callable[[str], ServerProcess], reference: Reference
) -> None:
    with servers("clocked").client() as client:
        talk = Talk.begin(client)
        first, second = talk.say("Hello."), talk.say("What time is it?")
    assert second.prompt[: len(first.prompt)] != first.prompt
    assert second.report["miss"]["reason"] == "history_rewritten"
    assert second.cached <= second.report["miss"]["at_token"] < 30
    assert_greedy(reference, second.prompt, second.output)


def test_forks_share_what_they_have_in_common(servers: Callable[[str], ServerProcess], reference: Reference) -> None:
    with servers("chatml").client() as client:
        talk = Talk.begin(client)
        talk.say("One.")
        second = talk.say("Two.")
        fork = talk.fork()
        left, right = talk.say("Left."), fork.say("Right.")
    for turn in (left, right):
        assert turn.prompt[: len(second.known)] == second.known
        assert turn.cached >= known_after(second)
        assert_greedy(reference, turn.prompt, turn.output)


@pytest.fixture(scope="module")
def costly(tiny_models: TinyModels) -> Path:
    """A model that computes longer than its state takes to restore: else the server rightly computes again."""
    return tiny_models("costly", scale=0.03, seed=1)


@pytest.fixture(scope="module")
def uninterrupted(costly: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Said]]:
    """The conversation as a server says it that nobody disturbs."""
    data_dir = tmp_path_factory.mktemp("uninterrupted") / "data"
    with ServerProcess(costly, data_dir, "--block-size", "8") as server, server.client() as client:
        talk = Talk.begin(client)
        yield [talk.say(line, max_output_tokens=12) for line in LINES]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tier", "options"), [("ram", ("--disk-cache", "0")), ("disk", ("--ram-cache", "0"))], ids=["ram", "disk"]
)
def test_a_conversation_goes_on_from_each_tier_as_if_it_had_never_left(
    start_server: StartServer, costly: Path, uninterrupted: list[Said], tier: str, options: tuple[str, ...]
) -> None:
    server = start_server("--block-size", "8", "--kv-memory", "400KiB", *options, model=costly)
    with server.client() as client:
        talk, last = Talk.begin(client), None
        for line, right in zip(LINES, uninterrupted, strict=True):
            got = talk.say(line, max_output_tokens=12)
            assert (got.prompt, got.output, got.text) == (right.prompt, right.output, right.text)
            if last is not None:
                by_tier = got.report["cached_by_tier"]  # the template's first tokens may be in somebody else's memory
                assert by_tier[tier] > by_tier["resident"]
                assert got.cached >= known_after(last)
            last = got
            await_saved(client)
            respond(client, input="Somebody else needs all the memory.", max_output_tokens=340)


@pytest.mark.slow
def test_after_sigkill_and_a_restart_it_goes_on_as_if_nothing_had_happened(
    start_server: StartServer, costly: Path, uninterrupted: list[Said]
) -> None:
    server = start_server("--block-size", "8", model=costly)
    with server.client() as client:
        talk = Talk.begin(client)
        said = [talk.say(line, max_output_tokens=12) for line in LINES[:3]]
    for line in LINES[3:]:
        with server.client() as client:
            await_saved(client)
        server.kill()
        server.start()
        with server.client() as client:
            said.append(Talk(client, talk.id).say(line, max_output_tokens=12))
        assert said[-1].report["cached_by_tier"]["disk"] >= known_after(said[-2])
        assert said[-1].report["miss"] is None
    assert [(got.prompt, got.output, got.text) for got in said] == [
        (right.prompt, right.output, right.text) for right in uninterrupted
    ]


@pytest.mark.slow
def test_sigterm_saves_what_is_left_and_ends_well(start_server: StartServer, costly: Path) -> None:
    """Right after the answer, while its state may not be written yet."""
    server = start_server("--block-size", "8", model=costly)
    with server.client() as client:
        talk = Talk.begin(client)
        said = talk.say("Hello.")
    assert server.terminate() == 0
    server.start()
    with server.client() as client:
        again = Talk(client, talk.id).say("And again.")
    assert again.report["cached_by_tier"]["disk"] == known_after(said)
