"""The loop: read, answer, account for it."""

from warmturn.advice import advice
from warmturn.console import answer, note
from warmturn.errors import WarmturnError
from warmturn.figures import turn_line
from warmturn.repl.commands import Leave, run_command
from warmturn.repl.prompt import Lines
from warmturn.repl.session import ChatSession


class Chat:
    def __init__(self, session: ChatSession, lines: Lines) -> None:
        self.session = session
        self._lines = lines

    def run(self) -> None:
        """Until the user leaves. At a terminal nothing but that ends it; in a pipe the first error does."""
        for line in self._lines:
            try:
                self._handle(line)
            except Leave:
                return
            except KeyboardInterrupt:
                if not self._lines.interactive:
                    raise
                note("\nstopped; this turn was not kept")
            except WarmturnError as error:
                if not self._lines.interactive:
                    raise
                note(f"error: {advice(error)}", style="red")

    def turn(self, text: str, *, temperature: float | None = None) -> None:
        with self.session.say(text, temperature=temperature) as stream:
            for piece in stream.text():
                answer(piece, end="")
        answer("")
        self.note(turn_line(self.session.turns[-1].report))

    def note(self, text: str) -> None:
        note(text)

    def show_conversation(self) -> None:
        """What was said so far, for someone who comes back."""
        conversation = self.session.conversation
        if conversation is not None:
            self.note(f"{conversation.id}  {conversation.title}".rstrip())
        for item in self.session.items():
            self.note(f"{'> ' if item.role == 'user' else ''}{item.text}")

    def _handle(self, line: str) -> None:
        if line.startswith("/"):
            run_command(self, line)
        elif line.strip():
            self.turn(line)
