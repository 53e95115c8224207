"""Commands that show or keep something of the chat, and change nothing in it."""

import re
from pathlib import Path

from warmturn.cli.chat.clipboard import copy_to_clipboard
from warmturn.cli.chat.lookback_view import lookback_lines
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.console import note
from warmturn.cli.markdown import as_markdown
from warmturn.cli.stats_view import stats_lines
from warmturn.errors import SettingsError
from warmturn.format import of_seconds
from warmturn.savings import of_turns
from warmturn.wire import Turn


def stats(session: ChatSession, _: str) -> None:
    """what reuse saved: in this chat, and on the server"""
    if session.turns:
        note(_summary(session.turns))
    for line in stats_lines(session.client.stats()):
        note(line)


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


def save(session: ChatSession, name: str) -> None:
    """[FILE] write this conversation as Markdown, named after its title if you give no name"""
    conversation = session.conversation
    if conversation is None or not session.has_turns:
        note("nothing to save yet")
        return
    file = Path(name).expanduser() if name else Path(f"{_file_name(session.title) or conversation.id}.md")
    text = as_markdown(conversation, session.items())
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError as error:
        raise SettingsError(f"{file} is there already; give another name: /save NAME") from error
    except OSError as error:
        raise SettingsError(f"cannot write {file}: {error.strerror}") from error
    note(f"written to {file}")


def copy(session: ChatSession, _: str) -> None:
    """put the last answer into the clipboard"""
    answers = [item.text for item in session.items() if item.type == "message" and item.role == "assistant"]
    if not answers:
        note("nothing to copy yet")
    elif copy_to_clipboard(answers[-1]):
        note(f"{len(answers[-1]):,} characters handed to the terminal's clipboard")
    else:
        note("there is no terminal here that has a clipboard")


def _summary(turns: list[Turn]) -> str:
    prompt = sum(turn.report.prompt_tokens for turn in turns)
    cached = sum(turn.report.cached_tokens for turn in turns)
    saved = of_turns(turn.report for turn in turns)
    said = saved.amount(of_seconds) if saved else "nothing known of time"
    return f"this chat: {len(turns)} turns, {cached:,} of {prompt:,} prompt tokens reused, saved: {said}"


def _file_name(title: str) -> str:
    return "-".join(re.findall(r"\w+", title.lower()))
