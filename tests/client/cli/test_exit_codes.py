"""0 done, 1 failed, 2 usage, 3 unreachable, 130 interrupted; errors are one line on stderr, stdout stays empty."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.client.command import WARMTURN, Command, environment

SERVER_PACKAGES = ("torch", "transformers", "fastapi", "uvicorn", "pydantic_settings", "numpy", "redis")


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@contextmanager
def talking_server(reply: bytes) -> Iterator[str]:
    """Answers every connection with the same bytes."""

    def answer() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls",),
        ("show", "x"),
        ("rm", "x"),
        ("fork", "x"),
        ("export", "x"),
        ("stats",),
        ("watch",),
        ("watch", "--json"),
        ("ask", "hi"),
        ("demo", "--url", "http://127.0.0.1:9"),
    ],
)
def test_no_server_is_3(command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert (done.code, done.stdout) == (3, "")
    assert "warmturn serve" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_server_for_a_piped_chat_is_3(command: Command) -> None:
    assert command("chat", stdin="hello\n").code == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("lss",),
        ("ls", "--limit", "0"),
        ("show",),
        ("ask", "--reuse", "magic", "x"),
        ("ask",),
        ("serve", "--port", "x"),
        ("ls", "--url", "x"),
        ("watch", "--interval", "0"),
    ],
)
def test_usage_is_2(command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr


def test_help_and_version_are_0(command: Command) -> None:
    assert "demo" in command("--help").ok()
    assert command("--version").ok().strip() == "0.1.0"


def test_a_bad_config_file_is_2_and_named(command: Command, tmp_path: Path) -> None:
    config = tmp_path / ".config" / "warmturn" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("colour = 1\n")
    done = command("ls")
    assert done.code == 2
    assert str(config) in done.stderr


def test_the_config_file_is_used(command: Command, tmp_path: Path) -> None:
    config = tmp_path / ".config" / "warmturn" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('url = "http://127.0.0.1:10"\n')
    assert "127.0.0.1:10" in command("ls", WARMTURN_URL="").stderr


def test_an_error_of_the_server_is_1(command: Command) -> None:
    body = b'{"error": {"message": "no such key", "type": "invalid_request_error", "param": null, "code": null}}'
    with talking_server(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)) as url:
        done = command("stats", "--url", url)
    assert (done.code, done.stderr) == (1, "warmturn: no such key\n")


@pytest.mark.slow
@pytest.mark.parametrize("key", [(), ("--api-key", "wrong")])
def test_a_key_that_the_server_wants_is_1_and_said_in_our_words(command: Command, key: tuple[str, ...]) -> None:
    body = b'{"error": {"message": "as header Authorization", "code": "invalid_api_key"}}'
    with talking_server(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)) as url:
        for arguments in (("ls",), ("ask", "hi"), ("chat",), ("watch",), ("demo",)):
            done = command(*arguments, "--url", url, *key, stdin="hi\n")
            assert (done.code, done.stdout) == (1, "")
            assert "--api-key" in done.stderr and "WARMTURN_API_KEY" in done.stderr
            assert "header" not in done.stderr


def test_a_key_that_cannot_be_sent_is_2_and_not_shown(command: Command) -> None:
    done = command("ls", WARMTURN_API_KEY="sekret\n")
    assert (done.code, done.stdout) == (2, "")
    assert "API key" in done.stderr
    assert "sekret" not in done.stderr


def test_something_else_on_that_port_is_1(command: Command) -> None:
    with talking_server(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello") as url:
        done = command("stats", "--url", url)
    assert done.code == 1
    assert "Warmturn" in done.stderr


@pytest.mark.parametrize("arguments", [("ask", "hello"), ("stats",), ("watch",)])
def test_ctrl_c_is_130(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """While it waits for a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        command = [*WARMTURN, *arguments, "--url", f"http://127.0.0.1:{silent.getsockname()[1]}"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(tmp_path))
        with _asked(silent):
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr


def _asked(silent: socket.socket) -> socket.socket:
    """The connection with a request on it; one without only asked whether anybody listens."""
    while True:
        connection = silent.accept()[0]
        if connection.recv(65536):
            return connection
        connection.close()


def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*WARMTURN, "--help"], stdout=writer, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)
    )
    os.close(writer)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_terminal_that_knows_only_ascii_gets_question_marks(command: Command) -> None:
    done = command("show", "größe", "--url", "http://127.0.0.1:9/größe", PYTHONIOENCODING="ascii")
    assert done.code == 3
    assert "gr??e" in done.stderr


def _run_without(packages: tuple[str, ...], *arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    """As where only the client is installed: these packages cannot be imported."""
    code = f"import sys; sys.modules.update(dict.fromkeys({packages})); from warmturn.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment(home), timeout=60
    )


@pytest.mark.parametrize("missing", [SERVER_PACKAGES, ("torch",), ("fastapi",), ("warmturn_server",)])
def test_serve_without_the_server_extra_says_what_to_install(tmp_path: Path, missing: tuple[str, ...]) -> None:
    done = _run_without(missing, "serve", home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'warmturn[server]'" in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.endswith(" ...")]) == 1


def test_the_client_runs_without_the_server_extra(tmp_path: Path) -> None:
    done = _run_without((*SERVER_PACKAGES, "warmturn_server"), "ls", "--url", "http://127.0.0.1:9", home=tmp_path)
    assert done.returncode == 3
    done = _run_without((*SERVER_PACKAGES, "warmturn_server"), "demo", home=tmp_path)
    assert done.returncode == 1
    assert "pip install 'warmturn[server]'" in done.stderr
