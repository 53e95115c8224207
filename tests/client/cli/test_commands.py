"""`ask`, `ls`, `show`, `rm`, `fork`, `export`, `stats` against a real server."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.client.command import Command, Done
from tests.conftest import StartServer
from typer.main import get_command

from warmturn import ApiError, Client, Conversation
from warmturn.cli.app import app
from warmturn.cli.deferred import DeferredCommand

GREEDY = ("--temperature", "0", "--max-tokens", "6")


@pytest.fixture
def talk(client: Client) -> Conversation:
    """A conversation of two turns."""
    conversation = client.conversations.create(metadata={"title": "two turns"})
    for text in ("hello", "and again"):
        client.respond(text, conversation=conversation.id, temperature=0.0, max_output_tokens=6)
    return conversation


def test_ask_answers_on_stdout_and_accounts_on_stderr(command: Command, client: Client) -> None:
    done = command("ask", "what is up?", *GREEDY)
    assert done.ok() == client.respond("what is up?", temperature=0.0, max_output_tokens=6, store=False).text + "\n"
    assert "tokens reused" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


def test_ask_joins_what_is_piped_in_and_the_question(command: Command, client: Client) -> None:
    asked = client.respond("a long text\n\nsum it up", temperature=0.0, max_output_tokens=6, store=False).text
    assert command("ask", "sum it up", *GREEDY, stdin="a long text\n").ok() == asked + "\n"
    assert command("ask", *GREEDY, stdin="a long text\n\nsum it up\n").ok() == asked + "\n"
    assert command("ask", "-", *GREEDY, stdin="a long text\n\nsum it up\n").ok() == asked + "\n"


def test_ask_json_is_one_object_per_event(command: Command) -> None:
    events = [json.loads(line) for line in command("ask", "hi", *GREEDY, "--json").ok().splitlines()]
    assert [event["type"] for event in events[:-1]] == ["text"] * (len(events) - 1)
    assert "".join(event["text"] for event in events[:-1]) == events[-1]["text"]
    assert events[-1]["type"] == "turn"
    assert events[-1]["report"]["prompt_tokens"] > 0


def test_of_what_is_asked_only_the_state_stays_and_the_help_says_so(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    command = Command(tmp_path, server.base_url)
    command("ask", "where is my quokka?", *GREEDY).ok()
    server.terminate()
    assert not any(b"quokka" in file.read_bytes() for file in server.data_dir.rglob("*") if file.is_file())
    assert list(server.data_dir.rglob("*.kv"))
    said = " ".join(command("ask", "--help").ok().split())
    assert "nothing that was said is in the server's log; its state stays there for a while" in said


def test_ask_makes_no_conversation_unless_told_one(command: Command, client: Client, talk: Conversation) -> None:
    before = [one.id for one in client.conversations.list()]
    events = command("ask", "hi", *GREEDY, "--json").ok().splitlines()
    assert [one.id for one in client.conversations.list()] == before
    with pytest.raises(ApiError, match="not found"):
        client.respond("more", previous_response_id=json.loads(events[-1])["id"])
    command("ask", "a third time", "-c", talk.id, *GREEDY).ok()
    assert [item.text for item in client.conversations.items(talk.id)][-2] == "a third time"


def test_ask_without_reuse_says_so(command: Command) -> None:
    assert "reuse off (nothing)" in command("ask", "hi", *GREEDY, "--reuse", "nothing").stderr


def test_system_instructions_reach_the_model(command: Command) -> None:
    plain = json.loads(command("ask", "hi", *GREEDY, "--json").ok().splitlines()[-1])
    told = json.loads(command("ask", "hi", *GREEDY, "--json", "--system", "Be brief.").ok().splitlines()[-1])
    assert told["report"]["prompt_tokens"] > plain["report"]["prompt_tokens"]


def test_ls_lists_the_newest_first(command: Command, talk: Conversation, client: Client) -> None:
    newer = client.conversations.create(metadata={"title": "newer"})
    lines = command("ls", "-n", "2").ok().splitlines()
    assert [line.split("\t")[0] for line in lines] == [newer.id, talk.id]
    assert lines[0].endswith("\tnewer")
    listed: list[dict[str, Any]] = json.loads(command("ls", "--json").ok())
    assert [one["id"] for one in listed[:2]] == [newer.id, talk.id]


@pytest.mark.slow
def test_show_and_export(command: Command, talk: Conversation, client: Client, tmp_path: Path) -> None:
    said = [f"{item.role}: {item.text}" for item in client.conversations.items(talk.id)]
    assert command("show", talk.id).ok() == "\n".join(said) + "\n"
    shown = json.loads(command("show", talk.id, "--json").ok())
    assert [item["role"] for item in shown["items"]] == ["user", "assistant"] * 2
    assert json.loads(command("export", talk.id, "--json").ok()) == shown
    markdown = command("export", talk.id).ok()
    assert markdown.startswith("# two turns\n")
    assert "**User**\n\nand again\n" in markdown
    command("export", talk.id, "-o", str(tmp_path / "talk.md")).ok()
    assert (tmp_path / "talk.md").read_text() == markdown
    assert command("export", talk.id, "-o", str(tmp_path / "none" / "talk.md")).code == 2


def test_fork_prints_the_new_id(command: Command, talk: Conversation, client: Client) -> None:
    items = list(client.conversations.items(talk.id))
    whole = command("fork", talk.id).ok().strip()
    assert [item.text for item in client.conversations.items(whole)] == [item.text for item in items]
    part = json.loads(command("fork", talk.id, "--at", items[1].id, "--json").ok())["id"]
    assert [item.text for item in client.conversations.items(part)] == [item.text for item in items[:2]]


@pytest.mark.slow
def test_conversations_go_by_id_prefix_and_title(command: Command, client: Client) -> None:
    one = client.conversations.create(metadata={"title": "a title of its own"})
    for name in (one.id, one.id[:-8], one.id.removeprefix("conv_")[:20], "a title of its own"):
        assert one.id in command("show", name).stderr
    assert one.id in command("show", "last").stderr


def test_a_name_that_fits_none_or_several_is_1(command: Command, client: Client) -> None:
    assert "warmturn ls" in command("show", "nobody").stderr
    for _ in range(2):
        client.conversations.create(metadata={"title": "twin"})
    done = command("rm", "twin")
    assert done.code == 1
    assert "2 conversations" in done.stderr


def test_rm_deletes_all_or_none(command: Command, client: Client) -> None:
    first, second = (client.conversations.create().id for _ in range(2))
    assert command("rm", first, "nobody").code == 1
    assert first in [one.id for one in client.conversations.list()]
    command("rm", first, second).ok()
    assert not {first, second} & {one.id for one in client.conversations.list()}


def test_rm_takes_the_same_one_twice(command: Command, client: Client) -> None:
    one = client.conversations.create(metadata={"title": "to be deleted"})
    done = command("rm", one.id, one.id, "to be deleted", one.id[:-4])
    assert done.ok() == ""
    assert done.stderr == f"deleted {one.id}\n"


@pytest.mark.slow
def test_rm_deletes_nothing_by_a_name_that_hardly_is_one(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    command = Command(tmp_path, server.base_url)
    with Client(server.base_url) as client:
        only = client.conversations.create().id
        for name in ("conv_", "", only[:8], only.removeprefix("conv_")[:3], f"{only}/", f"{only}/items", f"{only}?x=1"):
            assert command("rm", name).code == 1, name
        assert [one.id for one in client.conversations.list()] == [only]


def not_found(done: Done) -> None:
    assert (done.code, done.stdout) == (1, "")
    assert "`warmturn ls` lists them" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["", "/", "a\nb", "x" * 9_000, "{id}/items", "{id}?x=1"])
def test_an_odd_name_is_not_found_and_nothing_worse(command: Command, talk: Conversation, name: str) -> None:
    not_found(command("show", name.format(id=talk.id)))


@pytest.mark.parametrize("asking", [("show", "--misses"), ("export",), ("fork",), ("chat",), ("ask", "hi", "-c")])
def test_by_no_command(command: Command, asking: tuple[str, ...]) -> None:
    not_found(command(*asking, ""))


def test_stats(command: Command, talk: Conversation) -> None:
    assert talk
    figures = json.loads(command("stats", "--json").ok())
    assert figures
    starts = {line.split(" ")[0] for line in command("stats").ok().splitlines()}
    assert starts >= {f"{figures['model']},", "turns", "tokens", "saved", "mode", "state", "tier", *figures["tiers"]}


COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_help_ends_with_an_example_that_is_one(name: str) -> None:
    command = COMMANDS[name]
    if isinstance(command, DeferredCommand):
        command = command._loaded()
    assert command.epilog is not None and command.epilog.startswith("Example: ")
    example = shlex.split(command.epilog.removeprefix("Example: "))
    arguments = example[example.index("warmturn") + 1 :]
    assert arguments.pop(0) == name
    command.make_context(name, arguments).close()
