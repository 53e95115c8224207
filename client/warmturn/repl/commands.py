"""The slash commands. Each is a function of the chat; the first line of its docstring is its help."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from warmturn.cli.signals import ending_on_signals
from warmturn.figures import milliseconds
from warmturn.lookup import find_conversation
from warmturn.repl.lookback_view import lookback_lines
from warmturn.statistics import stats_lines
from warmturn.wire import REUSE_MODES, Turn

if TYPE_CHECKING:
    from warmturn.repl.chat import Chat

_RETRY_TEMPERATURE = 0.8
"""Where answers are greedy: the same one again is not what a retry is for."""

Command = Callable[["Chat", str], None]


class Leave(Exception):
    """The user is done."""


def new(chat: "Chat", _: str) -> None:
    """start a new conversation"""
    chat.session.new()
    chat.note("new conversation")


def resume(chat: "Chat", name: str) -> None:
    """[NAME] go on with another conversation; without a name, list the latest"""
    if not name:
        for conversation in chat.session.recent():
            chat.note(f"{conversation.id}  {conversation.title}")
        return
    chat.session.resume(find_conversation(chat.session.client, name))
    chat.show_conversation()


def fork(chat: "Chat", _: str) -> None:
    """go on in a copy; the original stays as it is"""
    original = chat.session.conversation
    copy = chat.session.fork()
    chat.note(f"now in {copy.id}; {original.id} stays as it is" if copy and original else "nothing to fork yet")


def undo(chat: "Chat", _: str) -> None:
    """take back the last turn"""
    said = chat.session.undo()
    chat.note("nothing to undo" if said is None else f"taken back: {_shortened(said)}")


def retry(chat: "Chat", _: str) -> None:
    """ask the last question again, for another answer; the earlier one stays in the original"""
    original = chat.session.conversation
    with ending_on_signals(), chat.session.retrying() as said:
        if said is not None:
            chat.turn(said, temperature=chat.session.temperature or _RETRY_TEMPERATURE)
    again = chat.session.conversation
    if said is None or original is None or again is None:
        chat.note("nothing to retry")
    else:
        chat.note(f"now in {again.id}; {original.id} keeps the earlier answer")


def system(chat: "Chat", text: str) -> None:
    """[TEXT] show or set the instructions for the model; `/system off` removes them"""
    if text:
        chat.session.set_system("" if text == "off" else text)
    chat.note(f"system: {chat.session.system}" if chat.session.system else "no system instructions")


def stats(chat: "Chat", _: str) -> None:
    """what reuse saved: in this chat, and on the server"""
    if chat.session.turns:
        chat.note(_summary(chat.session.turns))
    for line in stats_lines(chat.session.client.stats()):
        chat.note(line)


def reuse(chat: "Chat", mode: str) -> None:
    """[state|prompt|nothing] continue from saved state, prefill everything, or use no cache at all"""
    for known in REUSE_MODES:
        if mode == known:
            chat.session.reuse = known
    if mode and mode not in REUSE_MODES:
        chat.note(f"unknown mode {mode!r}; there are {', '.join(REUSE_MODES)}")
    chat.note(f"reuse: {chat.session.reuse}")


def lookback(chat: "Chat", layer: str) -> None:
    """[LAYER] what the last answer looked at: earlier turns, and tokens; with a number, in that layer alone"""
    found = chat.session.look_back()
    if found is None:
        chat.note("nothing to look back from: there is no answer yet, or the server cannot tell")
    elif layer and not (layer.isdecimal() and int(layer) < len(found.layers)):
        chat.note(f"there is no layer {layer!r}; they count from 0 to {len(found.layers) - 1}")
    else:
        for line in lookback_lines(found, int(layer) if layer else None):
            chat.note(line)


def show_help(chat: "Chat", _: str) -> None:
    """this list"""
    for name, command in COMMANDS.items():
        chat.note(f"/{name:8} {command.__doc__}")
    chat.note("Alt-Enter, or \\ at the end of a line, starts another line; Ctrl-C stops a turn, Ctrl-D leaves")


def leave(_chat: "Chat", _: str) -> None:
    """leave; the conversation stays on the server (`warmturn chat -c` resumes it)"""
    raise Leave


COMMANDS: dict[str, Command] = {
    "new": new,
    "resume": resume,
    "fork": fork,
    "undo": undo,
    "retry": retry,
    "system": system,
    "stats": stats,
    "reuse": reuse,
    "lookback": lookback,
    "help": show_help,
    "exit": leave,
}


def run_command(chat: "Chat", line: str) -> None:
    name, _, argument = line.removeprefix("/").partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        chat.note(f"unknown command /{name}; /help lists them")
    else:
        command(chat, argument.strip())


def _summary(turns: list[Turn]) -> str:
    prompt = sum(turn.report.prompt_tokens for turn in turns)
    cached = sum(turn.report.cached_tokens for turn in turns)
    saved = sum(turn.report.saved_ms or 0.0 for turn in turns)
    return f"this chat: {len(turns)} turns, {cached:,} of {prompt:,} prompt tokens reused, {milliseconds(saved)} saved"


def _shortened(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
