"""`warmturn chat` at a terminal with a keyboard, against a real server."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.client.cli.chat.conftest import GREEDY, last_items, said
from tests.client.command import WARMTURN, environment
from tests.client.terminal import ALT_ENTER, CTRL_C, CTRL_D, ENTER, TAB, Terminal
from tests.conftest import StartServer
from tests.support.server import ServerProcess
from tests.support.waiting import wait_until

from warmturn import Client

FOOTER = r"TTFT [\d.,]+ m?s · [\d,]+ of [\d,]+ tokens reused"


@pytest.fixture
def at_terminal(shared_server: ServerProcess, tmp_path: Path) -> Terminal:
    return Terminal([*WARMTURN, "chat"], environment(tmp_path, WARMTURN_URL=shared_server.base_url))


def test_at_a_terminal(shared_server: ServerProcess, client: Client, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    home = environment(tmp_path, WARMTURN_URL=shared_server.base_url)
    with Terminal([*WARMTURN, "chat", *GREEDY], home, stdout=answers) as terminal:
        terminal.wait_for(r"/help lists the commands")
        terminal.wait_for(">")
        terminal.type("hello" + ALT_ENTER + "there" + ENTER)
        terminal.wait_for(FOOTER)
        terminal.wait_for(">")
        terminal.type("tail\\" + ENTER + "end" + ENTER)
        terminal.wait_for(FOOTER)
        terminal.wait_for(">")
        terminal.type(CTRL_D)
        assert terminal.wait() == 0
    assert said(client) == ["hello\nthere", "tail\nend"]
    replies = [item.text for item in last_items(client) if item.role == "assistant"]
    assert answers.read_text() == "".join(reply + "\n" for reply in replies)
    assert "hello" in (tmp_path / ".local" / "state" / "warmturn" / "history").read_text()


def test_ctrl_c_stops_the_turn_and_not_the_program(endless_server: ServerProcess, tmp_path: Path) -> None:
    home = environment(tmp_path, WARMTURN_URL=endless_server.base_url)
    with Terminal([*WARMTURN, "chat"], home) as terminal:
        terminal.wait_for(">")
        terminal.type("tell me a very long story" + ENTER)
        terminal.wait_for(r"long story\s+[^>\s]")
        terminal.type(CTRL_C)
        terminal.wait_for("stopped; what was said is kept")
        terminal.wait_for(">")
        terminal.type("another one" + ENTER)
        terminal.wait_for(r"another one\s+[^>\s]")
        terminal.type(CTRL_C)
        terminal.wait_for("stopped; what was said is kept")
        terminal.type("/exit" + ENTER)
        assert terminal.wait() == 0
    assert "Traceback" not in terminal.screen
    with Client(endless_server.base_url) as client:
        _wait_until_idle(client)
        made = next(client.conversations.list())
        kept = list(client.conversations.items(made.id))
        client.conversations.delete(made.id)
    assert [item.text for item in kept[::2]] == ["tell me a very long story", "another one"]
    assert [(item.status, bool(item.text)) for item in kept[1::2]] == [("incomplete", True)] * 2


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_a_retry_that_is_stopped_takes_nothing_back(endless_server: ServerProcess, tmp_path: Path, how: str) -> None:
    with Client(endless_server.base_url) as client:
        one = client.conversations.create(metadata={"title": "kept"})
        client.respond("hello", conversation=one.id, max_output_tokens=6, temperature=0.0)
        before = list(client.conversations.items(one.id))
        listed = [conversation.id for conversation in client.conversations.list()]
        home = environment(tmp_path, WARMTURN_URL=endless_server.base_url)
        with Terminal([*WARMTURN, "chat", "-c", one.id], home) as terminal:
            terminal.wait_for("> hello")
            terminal.wait_for(">")
            terminal.type("/retry" + ENTER)
            terminal.wait_for(r"/retry\s+[^>\s]")
            if how == "Ctrl-C":
                terminal.type(CTRL_C)
                terminal.wait_for("stopped; this turn was not kept")
                terminal.type("/exit" + ENTER)
            else:
                terminal.process.send_signal(signal.SIGTERM)
            assert terminal.wait() == (0 if how == "Ctrl-C" else 128 + signal.SIGTERM)
        assert [conversation.id for conversation in client.conversations.list()] == listed
        assert list(client.conversations.items(one.id)) == before
        client.conversations.delete(one.id)


def _wait_until_idle(client: Client) -> None:
    """The server stops computing what nobody reads any more."""
    wait_until(lambda: not client.stats()["running"], "it still computes", seconds=10)


def test_ctrl_c_at_the_prompt_only_clears_it(at_terminal: Terminal) -> None:
    with at_terminal as terminal:
        terminal.wait_for(">")
        terminal.type("half a thou" + CTRL_C)
        terminal.type("/help" + ENTER)
        terminal.wait_for("/undo +take back the last turn")
        terminal.type("/exit" + ENTER)
        assert terminal.wait() == 0


def test_colours_only_where_wanted(shared_server: ServerProcess, tmp_path: Path) -> None:
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        home = environment(tmp_path, WARMTURN_URL=shared_server.base_url, **variables)
        with Terminal([*WARMTURN, "ask", "hello", *GREEDY], home) as terminal:
            assert terminal.wait() == 0
        assert ("\x1b[2m" in terminal.raw) == coloured


def test_no_word_is_broken_inside(tmp_path: Path) -> None:
    probe = "from warmturn.cli.console import note; note('Mirelo :cat: ' * 20)"
    with Terminal([sys.executable, "-c", probe], environment(tmp_path, COLUMNS="44")) as terminal:
        assert terminal.wait() == 0
    lines = terminal.screen.splitlines()
    assert len(lines) > 5 and {word for line in lines for word in line.split()} == {"Mirelo", ":cat:"}


def test_a_model_cannot_steer_the_terminal(tmp_path: Path) -> None:
    steering = "\x1b]0;owned\x07\x9b2Jplain\ttext"
    probe = f"from warmturn.cli.console import answer, note; answer({steering!r}); note({steering!r})"
    with Terminal([sys.executable, "-c", probe], environment(tmp_path)) as terminal:
        assert terminal.wait() == 0
    assert terminal.raw.count("\ufffd]0;owned\ufffd\ufffd2Jplain") == 2
    piped = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True)
    assert piped.stdout == (steering + "\n").encode()


def test_the_chat_outlives_its_server(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    home = environment(tmp_path, WARMTURN_URL=server.base_url)
    with Terminal([*WARMTURN, "chat", *GREEDY], home) as terminal:
        terminal.wait_for(">")
        terminal.type("hello" + ENTER)
        terminal.wait_for(FOOTER)
        server.kill()
        terminal.type("anyone?" + ENTER)
        terminal.wait_for("error: no server")
        terminal.wait_for(r"back at the prompt[^>]*> anyone\?")
        terminal.type(CTRL_C + "exit" + ENTER)
        assert terminal.wait() == 0


@pytest.mark.slow
def test_a_server_that_dies_in_mid_reply_ends_the_line_and_gives_the_message_back(
    start_server: StartServer, endless_model: Path, tmp_path: Path
) -> None:
    server = start_server(model=endless_model)
    home = environment(tmp_path, WARMTURN_URL=server.base_url)
    with Terminal([*WARMTURN, "chat"], home) as terminal:
        terminal.wait_for(">")
        terminal.type("a very long story" + ENTER)
        terminal.wait_for(r"long story\s+[^>\s]")
        server.kill()
        terminal.wait_for(r"\r\n\s*error: ")
        terminal.wait_for(r"> a very long story")
        terminal.type(CTRL_C + "/exit" + ENTER)
        assert terminal.wait() == 0


def test_tab_completes_commands_and_titles(shared_server: ServerProcess, client: Client, tmp_path: Path) -> None:
    made = client.conversations.create(metadata={"title": "zebra crossing"})
    with Terminal([*WARMTURN, "chat"], environment(tmp_path, WARMTURN_URL=shared_server.base_url)) as terminal:
        terminal.wait_for(">")
        terminal.type("/resu" + TAB)
        terminal.wait_for("/resume")
        terminal.type(" zeb" + TAB)
        terminal.wait_for("zebra crossing")
        terminal.type(ENTER)
        terminal.wait_for(rf"{made.id}  zebra crossing")
        terminal.type("/exit" + ENTER)
        assert terminal.wait() == 0
    client.conversations.delete(made.id)
