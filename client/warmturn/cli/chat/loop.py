"""The loop: read, answer, account for it."""

from warmturn.cli.advice import advice
from warmturn.cli.chat.commands import Leave, run_command
from warmturn.cli.chat.prompt import Lines
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.chat.turn_view import answer_turn
from warmturn.cli.console import note
from warmturn.errors import WarmturnError


def converse(session: ChatSession, lines: Lines) -> None:
    """Until the user leaves. At a terminal nothing but that ends it; in a pipe the first error does."""
    for line in lines:
        try:
            _handle(session, line)
        except Leave:
            return
        except KeyboardInterrupt:
            if not lines.interactive:
                raise
            note("\nstopped; what was said is kept" if session.keeps_stopped else "\nstopped; this turn was not kept")
        except WarmturnError as error:
            if not lines.interactive:
                raise
            note(f"error: {advice(error)}", style="red")


def _handle(session: ChatSession, line: str) -> None:
    if line.startswith("/"):
        run_command(session, line)
    elif line.strip():
        answer_turn(session, line)
