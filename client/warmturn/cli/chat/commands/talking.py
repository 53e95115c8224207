"""Commands about which conversation goes on, and from where."""

from warmturn.cli.chat.editor import edited
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.chat.turn_view import answer_turn, show_conversation
from warmturn.cli.console import note
from warmturn.cli.lookup import NoSuchConversation, find_conversation, short_ids
from warmturn.cli.markdown import last_used
from warmturn.cli.signals import ending_on_signals
from warmturn.wire import Conversation

_KEPT = "keeps the earlier answer"
_RETRY_TEMPERATURE = 0.8
"""Where answers are greedy: the same one again is not what a retry is for."""


def new(session: ChatSession, _: str) -> None:
    """start a new conversation"""
    session.new()
    note("new conversation")


def resume(session: ChatSession, name: str) -> None:
    """[NAME] go on with another one, by its number in the list that comes without a name, its title or id"""
    if name:
        session.resume(_listed(session, name) or find_conversation(session.client, name))
        show_conversation(session)
        return
    listed = session.recent()
    for number, (short, conversation) in enumerate(zip(short_ids(listed), listed, strict=True), 1):
        note(f"{number:>2}  {short}  {last_used(conversation)}  {conversation.title}")


def title(session: ChatSession, text: str) -> None:
    """[TEXT] show or set what this conversation is called"""
    if text:
        session.set_title(text)
    note(f"title: {session.title}" if session.title else "no title yet; it gets one from its first words")


def fork(session: ChatSession, name: str) -> None:
    """[TITLE] go on in a copy; the original stays as it is"""
    original = session.conversation
    copy = session.fork(name)
    if copy is None or original is None:
        note("nothing to fork yet")
    else:
        _tell_where(copy, original, "stays as it is")


def undo(session: ChatSession, _: str) -> None:
    """take back the last turn"""
    said = session.undo()
    note("nothing to undo" if said is None else f"taken back: {_shortened(said)}")


def retry(session: ChatSession, _: str) -> None:
    """ask the last question again, for another answer; the earlier one stays in the original"""
    original = session.conversation
    with ending_on_signals(), session.retrying() as said:
        if said is not None:
            answer_turn(session, said, temperature=_RETRY_TEMPERATURE if session.is_greedy else None)
    if said is None or original is None or session.conversation is None:
        note("nothing to retry")
    else:
        _tell_where(session.conversation, original, _KEPT)


def edit(session: ChatSession, _: str) -> None:
    """change your last message in $EDITOR, and ask that instead; the earlier one stays in the original"""
    said, original = session.last_question(), session.conversation
    if said is None or original is None:
        note("nothing to edit")
        return
    text = edited(said)
    if text in ("", said):
        note("unchanged; nothing was asked")
        return
    with ending_on_signals(), session.retrying():
        answer_turn(session, text)
    if session.conversation is not None:
        _tell_where(session.conversation, original, _KEPT)


def _tell_where(current: Conversation, original: Conversation, what_of_it: str) -> None:
    now, before = short_ids([current, original])
    note(f"now in {now}; {before} {what_of_it}, `/resume {before}` goes back to it")


def _listed(session: ChatSession, name: str) -> Conversation | None:
    """By the number that it had when it was listed last."""
    if not name.isdecimal() or not session.listed:
        return None
    if not 0 < int(name) <= len(session.listed):
        raise NoSuchConversation(f"the list had numbers 1 to {len(session.listed)}; /resume shows it again")
    return session.listed[int(name) - 1]


def _shortened(text: str, width: int = 60) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
