"""All subcommands together."""

from importlib.metadata import version
from typing import Annotated

import typer

from warmturn.cli.ask import ask
from warmturn.cli.bench import bench
from warmturn.cli.chat import chat
from warmturn.cli.conversations import export, fork, ls, rm, show
from warmturn.cli.demo import demo
from warmturn.cli.serve import serve
from warmturn.cli.stats import stats
from warmturn.cli.watch import watch

app = typer.Typer(
    name="warmturn",
    help="Chat with a server that keeps each conversation's model state across turns, evictions and restarts.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (serve, chat, ask, ls, show, rm, fork, export, stats, watch, demo, bench):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(version("warmturn"))
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Chat with a server that keeps each conversation's model state across turns, evictions and restarts."""
