"""The loop: read, answer, account for it."""

from warmturn.cli.advice import advice
from warmturn.cli.chat.commands.table import Leave, run_if_command
from warmturn.cli.chat.prompt import Lines
from warmturn.cli.chat.session import ChatSession
from warmturn.cli.chat.turn_view import answer_turn
from warmturn.cli.console import note
from warmturn.errors import WarmturnError


def converse(session: ChatSession, lines: Lines) -> None:
    """Until the user leaves. At a terminal nothing but that ends it; in a pipe the first error does."""
    for line in lines:
        try:
            _handle(session, line, interactive=lines.interactive)
        except Leave:
            return
        except KeyboardInterrupt:
            if not lines.interactive:
                raise
            note("stopped; what was said is kept" if session.keeps_stopped else "stopped; this turn was not kept")
        except WarmturnError as error:
            if not lines.interactive:
                raise
            note(f"error: {advice(error)}", style="red")
            if session.unanswered:
                lines.put_back(session.unanswered)
                note("your message is back at the prompt; Enter says it again")


def _handle(session: ChatSession, line: str, *, interactive: bool) -> None:
    session.unanswered = ""
    if line.strip() and not run_if_command(session, line, interactive=interactive):
        answer_turn(session, line.removeprefix("/") if line.startswith("//") else line)
