"""The slash commands. Each is a function of the session; the first line of its docstring is its help."""

from collections.abc import Callable

from warmturn.cli.chat.lookback_view import lookback_lines
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.chat.turn_view import answer_turn, show_conversation
from warmturn.cli.console import note
from warmturn.cli.lookup import find_conversation
from warmturn.cli.signals import ending_on_signals
from warmturn.cli.stats_view import stats_lines
from warmturn.format import milliseconds
from warmturn.savings import of_turns
from warmturn.wire import REUSE_MODES, Turn

_RETRY_TEMPERATURE = 0.8
"""Where answers are greedy: the same one again is not what a retry is for."""

Command = Callable[[ChatSession, str], None]


class Leave(Exception):
    """The user is done."""


def new(session: ChatSession, _: str) -> None:
    """start a new conversation"""
    session.new()
    note("new conversation")


def resume(session: ChatSession, name: str) -> None:
    """[NAME] go on with another conversation; without a name, list the latest"""
    if not name:
        for conversation in session.recent():
            note(f"{conversation.id}  {conversation.title}")
        return
    session.resume(find_conversation(session.client, name))
    show_conversation(session)


def fork(session: ChatSession, _: str) -> None:
    """go on in a copy; the original stays as it is"""
    original = session.conversation
    copy = session.fork()
    note(f"now in {copy.id}; {original.id} stays as it is" if copy and original else "nothing to fork yet")


def undo(session: ChatSession, _: str) -> None:
    """take back the last turn"""
    said = session.undo()
    note("nothing to undo" if said is None else f"taken back: {_shortened(said)}")


def retry(session: ChatSession, _: str) -> None:
    """ask the last question again, for another answer; the earlier one stays in the original"""
    original = session.conversation
    with ending_on_signals(), session.retrying() as said:
        if said is not None:
            answer_turn(session, said, temperature=session.temperature or _RETRY_TEMPERATURE)
    again = session.conversation
    if said is None or original is None or again is None:
        note("nothing to retry")
    else:
        note(f"now in {again.id}; {original.id} keeps the earlier answer")


def system(session: ChatSession, text: str) -> None:
    """[TEXT] show or set the instructions for the model; `/system off` removes them"""
    if text:
        session.set_system("" if text == "off" else text)
    note(f"system: {session.system}" if session.system else "no system instructions")


def stats(session: ChatSession, _: str) -> None:
    """what reuse saved: in this chat, and on the server"""
    if session.turns:
        note(_summary(session.turns))
    for line in stats_lines(session.client.stats()):
        note(line)


def reuse(session: ChatSession, mode: str) -> None:
    """[state|prompt|nothing] continue from saved state, prefill everything, or use no cache at all"""
    for known in REUSE_MODES:
        if mode == known:
            session.reuse = known
    if mode and mode not in REUSE_MODES:
        note(f"unknown mode {mode!r}; there are {', '.join(REUSE_MODES)}")
    note(f"reuse: {session.reuse}")


def lookback(session: ChatSession, layer: str) -> None:
    """[LAYER] what the last answer looked at: earlier turns, and tokens; with a number, in that layer alone"""
    found = session.look_back()
    if found is None:
        note("nothing to look back from: there is no answer yet, or the server cannot tell")
    elif layer and not (layer.isdecimal() and int(layer) < len(found.layers)):
        note(f"there is no layer {layer!r}; they count from 0 to {len(found.layers) - 1}")
    else:
        for line in lookback_lines(found, int(layer) if layer else None):
            note(line)


def show_help(_session: ChatSession, _: str) -> None:
    """this list"""
    for name, command in COMMANDS.items():
        note(f"/{name:8} {command.__doc__}")
    note("Alt-Enter, or \\ at the end of a line, starts another line; Ctrl-C stops a turn, Ctrl-D leaves")


def leave(_session: ChatSession, _: str) -> None:
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


def run_command(session: ChatSession, line: str) -> None:
    name, _, argument = line.removeprefix("/").partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        note(f"unknown command /{name}; /help lists them")
    else:
        command(session, argument.strip())


def _summary(turns: list[Turn]) -> str:
    prompt = sum(turn.report.prompt_tokens for turn in turns)
    cached = sum(turn.report.cached_tokens for turn in turns)
    saved = of_turns(turn.report for turn in turns)
    said = saved.amount(lambda seconds: milliseconds(1000 * seconds)) if saved else "nothing known of time"
    return f"this chat: {len(turns)} turns, {cached:,} of {prompt:,} prompt tokens reused, saved: {said}"


def _shortened(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
