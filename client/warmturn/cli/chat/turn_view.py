"""A turn and a conversation as the prompt shows them: answers on stdout, everything else beside them."""

from warmturn.cli.answer_view import answer_view, show_answer
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.console import note
from warmturn.format import call_line, turn_line


def answer_turn(session: ChatSession, text: str, *, temperature: float | None = None) -> None:
    """Says `text`, shows the answer as it comes, and accounts for it."""
    with answer_view() as view, session.say(text, temperature=temperature) as stream:
        show_answer(stream, view)
    note(turn_line(session.turns[-1].report))


def show_conversation(session: ChatSession) -> None:
    """What was said so far, for someone who comes back."""
    conversation = session.conversation
    if conversation is not None:
        note(f"{conversation.id}  {conversation.title}".rstrip())
    for item in session.items():
        if item.type == "message" or call_line(item):
            note(f"{'> ' if item.role == 'user' else ''}{item.text or call_line(item)}")
