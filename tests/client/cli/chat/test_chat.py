"""`warmturn chat` through a pipe, against a real server."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
from tests.client.cli.chat.conftest import GREEDY, last_items, said
from tests.client.command import WARMTURN, Command, environment
from tests.support.server import ServerProcess

from warmturn import Client
from warmturn.cli.lookup import short_ids


def test_each_piped_line_is_a_turn(command: Command, client: Client) -> None:
    done = command("chat", *GREEDY, stdin="hello\n\nhow are\\\nyou?\n")
    items = last_items(client)
    assert [item.text for item in items if item.role == "user"] == ["hello", "how are\nyou?"]
    assert done.ok() == "".join(item.text + "\n" for item in items if item.role == "assistant")
    assert done.stderr.count("tokens reused") == 2
    assert next(client.conversations.list()).title == "hello"


def test_a_chat_without_a_word_leaves_no_conversation(command: Command, client: Client) -> None:
    before = len(list(client.conversations.list()))
    command("chat", stdin="").ok()
    command("chat", stdin="/help\n/undo\n/retry\n/fork\n/exit\nnever read\n").ok()
    assert len(list(client.conversations.list())) == before


@pytest.mark.slow
def test_continue_resumes_the_last_or_a_named_one(command: Command, client: Client) -> None:
    command("chat", *GREEDY, stdin="first\n").ok()
    first = next(client.conversations.list()).id
    command("chat", "-c", *GREEDY, stdin="second\n").ok()
    command("chat", *GREEDY, stdin="other\n").ok()
    command("chat", "-c", first[:16], *GREEDY, stdin="third\n").ok()
    texts = [item.text for item in client.conversations.items(first) if item.role == "user"]
    assert texts == ["first", "second", "third"]


def test_undo_takes_back_the_last_turn_and_retry_asks_it_again(command: Command, client: Client) -> None:
    command("chat", *GREEDY, stdin="one\ntwo\n/undo\nthree\n").ok()
    assert said(client) == ["one", "three"]
    done = command("chat", "-c", *GREEDY, stdin="/retry\n")
    assert said(client) == ["one", "three"]
    assert done.ok() == last_items(client)[-1].text + "\n"
    newest, original = list(client.conversations.list())[:2]
    now, before = short_ids([newest, original])
    assert f"now in {now}; {before} keeps the earlier answer, `/resume {before}` goes back to it" in done.stderr


def test_fork_leaves_the_original_as_it_is(command: Command, client: Client) -> None:
    command("chat", *GREEDY, stdin="one\n/fork\ntwo\n").ok()
    copy, original = (conversation.id for conversation in list(client.conversations.list())[:2])
    assert [item.text for item in client.conversations.items(copy) if item.role == "user"] == ["one", "two"]
    assert [item.text for item in client.conversations.items(original) if item.role == "user"] == ["one"]


def test_new_and_resume(command: Command, client: Client) -> None:
    command("chat", *GREEDY, stdin="blue whale\n/new\nred fox\n/resume blue whale\nonce more\n/resume\n").ok()
    newest, older = list(client.conversations.list())[:2]
    assert (newest.title, older.title) == ("red fox", "blue whale")
    assert [item.text for item in client.conversations.items(older.id)][-2] == "once more"


def test_system_instructions_stay_with_the_conversation(command: Command, client: Client) -> None:
    done = command("chat", *GREEDY, stdin="/system Be brief.\nhello\n/system\n")
    assert "system: Be brief." in done.stderr
    assert next(client.conversations.list()).metadata["system"] == "Be brief."
    assert "system: Be brief." in command("chat", "-c", stdin="/system\n").stderr
    assert "no system" in command("chat", "-c", stdin="/system off\n/system\n").stderr
    assert next(client.conversations.list()).metadata["system"] == ""


def test_reuse_is_switched_and_said(command: Command) -> None:
    done = command("chat", *GREEDY, stdin="/reuse nothing\nhello\n/reuse magic\n/stats\n")
    assert "reuse off (nothing)" in done.stderr
    assert "unknown mode 'magic'" in done.stderr
    assert "this chat: 1 turns, 0 of" in done.stderr
    assert done.code == 0


def test_a_command_that_is_none_ends_a_piped_chat(command: Command) -> None:
    done = command("chat", *GREEDY, stdin="/sytem Be brief.\nnever said\n")
    assert (done.code, done.stdout) == (1, "")
    assert "unknown command /sytem, did you mean /system?" in done.stderr


def test_other_lines_with_a_slash_are_said(command: Command, client: Client) -> None:
    command("chat", *GREEDY, stdin="/etc/hosts is what?\n//help\n/ alone\n/bye\nnever said\n").ok()
    assert said(client) == ["/etc/hosts is what?", "/help", "/ alone"]


def test_titles_and_numbers_in_the_list(command: Command, client: Client) -> None:
    lines = "/title My  whale\nblue whale\n/fork Its copy\n/title\n/resume\n/resume 2\nand here\n/resume 99\n"
    done = command("chat", *GREEDY, stdin=lines)
    copy, original = list(client.conversations.list())[:2]
    assert (copy.title, original.title) == ("Its copy", "My whale")
    assert "title: Its copy" in done.stderr
    assert re.search(rf" 1  {copy.id[:11]}  20[-\d]+ [:\d]+  Its copy", done.stderr)
    assert copy.id not in done.stderr, "what nobody has to copy has the id's beginning only"
    assert [item.text for item in client.conversations.items(original.id)][-2] == "and here"
    assert done.code == 1 and "/resume shows it again" in done.stderr


def test_sampling_is_set_and_refused_by_the_server(command: Command) -> None:
    done = command("chat", *GREEDY, stdin="/set max_tokens 1\nhi\n/set seed x\n/set heat 1\n/set top_p 7\nnever said\n")
    assert done.code == 1
    assert done.stdout.count("\n") == 1 and len(done.stdout.split()) <= 1
    for said_so in ("max_tokens: 1", "seed is a whole number, not 'x'", "no setting 'heat'", "top_p"):
        assert said_so in done.stderr


def test_the_chat_is_saved_as_markdown_and_nothing_is_overwritten(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "kept.md"
    done = command("chat", *GREEDY, stdin=f"hello\n/save {file}\n/save {file}\n")
    assert file.read_text().startswith("# hello\n") and "**User**\n\nhello\n" in file.read_text()
    assert done.code == 2 and "is there already" in done.stderr


def test_the_last_message_is_changed_in_the_editor(command: Command, client: Client, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/whale/fox/ "$1"\n')
    editor.chmod(0o700)
    done = command("chat", *GREEDY, stdin="one\nblue whale\n/edit\n/edit\n", EDITOR=str(editor))
    assert said(client) == ["one", "blue fox"]
    assert "keeps the earlier answer" in done.stderr and "unchanged; nothing was asked" in done.stderr
    refused = command("chat", "-c", *GREEDY, stdin="/edit\n", EDITOR="/nowhere/editor")
    assert refused.code == 2 and "set EDITOR" in refused.stderr
    assert said(client) == ["one", "blue fox"]


def test_files_go_with_the_first_message(command: Command, client: Client, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("The cat is called ```Mirelo```.\n")
    command("chat", *GREEDY, "-f", str(tmp_path / "notes.txt"), stdin="what?\nand?\n").ok()
    assert said(client) == ["notes.txt:\n\n````\nThe cat is called ```Mirelo```.\n````\n\nwhat?", "and?"]
    (tmp_path / "cat.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "cat.bin").write_bytes(b"\xff\xfe\x00")
    for name, reason in (("cat.png", "is an image"), ("cat.bin", "is no text in UTF-8"), ("gone.txt", "cannot read")):
        refused = command("chat", "-f", str(tmp_path / name), stdin="never said\n")
        assert refused.code == 2 and reason in refused.stderr


def test_instructions_come_from_a_file_or_by_name(command: Command, client: Client, tmp_path: Path) -> None:
    folder = tmp_path / ".config" / "warmturn" / "system"
    folder.mkdir(parents=True)
    (folder / "brief.md").write_text("Be brief.\n")
    for given in ("brief", str(folder / "brief.md")):
        command("chat", *GREEDY, "--system-file", given, stdin="hello\n").ok()
        assert next(client.conversations.list()).metadata["system"] == "Be brief."
    refused = command("chat", "--system-file", "long", stdin="never said\n")
    assert refused.code == 2 and "it has brief" in refused.stderr
    assert "not both" in command("chat", "-s", "x", "--system-file", "brief", stdin="never said\n").stderr


def test_new_instructions_in_mid_chat_say_what_they_cost(command: Command) -> None:
    done = command("chat", *GREEDY, stdin="/system Be brief.\nhello\n/system Be long.\n")
    assert done.stderr.count("computes the conversation anew") == 1


def test_lookback_shows_what_the_last_answer_looked_at(command: Command) -> None:
    done = command("chat", *GREEDY, stdin="/lookback\nblue whale\nred fox\n/lookback\n/lookback 1\n/lookback 9\n")
    none_yet, *shown = done.stderr.split("what the 6 tokens of the answer looked at, ")
    assert "there is no answer yet" in none_yet
    assert [lines.partition(":")[0] for lines in shown] == ["all layers", "layer 1 alone"]
    for lines in shown:
        turns, _, _ = lines.partition("the tokens that looked back")
        shares = [float(share) for share in re.findall(r" ([\d.]+)% ", turns)]
        assert sum(shares) == pytest.approx(100, abs=0.5)
        assert re.search(r"turn 1 +you +blue whale", turns)
        assert re.search(r"turn 2 +you +red fox", turns)
    assert "there is no layer '9'; they count from 0 to 2" in done.stderr
    assert command("chat", "-c", stdin="/lookback\n").stderr.count("red fox") == 1


def test_an_error_ends_a_piped_chat(command: Command) -> None:
    done = command("chat", *GREEDY, stdin="/resume nobody\nnever said\n")
    assert (done.code, done.stdout) == (1, "")


def test_ctrl_c_ends_a_piped_chat_with_130(endless_server: ServerProcess, tmp_path: Path) -> None:
    with subprocess.Popen(
        [*WARMTURN, "chat", "--url", endless_server.base_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("tell me a very long story\n")
        process.stdin.flush()
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
