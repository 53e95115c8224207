"""Entry of the `warmturn` command: exit codes 0, 1, 2 usage, 3 server unreachable, 130 interrupted."""

import os
import sys
from io import TextIOWrapper

from warmturn.cli.advice import advice
from warmturn.cli.app import app
from warmturn.errors import ServerUnreachable, SettingsError, WarmturnError

FAILED, USAGE, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130


def main() -> None:
    _never_fail_to_print()
    try:
        app(prog_name="warmturn")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _stop_writing()
        sys.exit(FAILED)
    except WarmturnError as error:
        print(f"warmturn: {advice(error)}", file=sys.stderr)
        sys.exit(_exit_code(error))


def _exit_code(error: WarmturnError) -> int:
    match error:
        case ServerUnreachable():
            return UNREACHABLE
        case SettingsError():
            return USAGE
        case _:
            return FAILED


def _never_fail_to_print() -> None:
    """A terminal or file that cannot show a character gets a question mark."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _stop_writing() -> None:
    """The reader of our output is gone (`| head`): keep the interpreter from complaining when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
