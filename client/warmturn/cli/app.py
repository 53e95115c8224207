"""All subcommands together."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from warmturn.cli.ask import ask
from warmturn.cli.background.commands import ps, stop
from warmturn.cli.chat.command import chat
from warmturn.cli.conversation_files import import_
from warmturn.cli.conversations import export, fork, ls, rm, show
from warmturn.cli.deferred import DeferredCommand
from warmturn.cli.doctor import doctor
from warmturn.cli.models import models, pull
from warmturn.cli.pins import pin
from warmturn.cli.serve import serve
from warmturn.cli.stats import stats
from warmturn.cli.upkeep import backup, verify
from warmturn.cli.watch.command import watch

app = typer.Typer(
    name="warmturn",
    help="Chat with a server that keeps each conversation's model state across turns, evictions and restarts.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_EXAMPLES: dict[Callable[..., None], str] = {
    serve: "warmturn serve --model Qwen/Qwen3-0.6B --port 8000",
    chat: "warmturn chat -c --system-file brief -f notes.txt",
    ask: 'git diff | warmturn ask "What does this change?"',
    ps: "warmturn ps --json",
    stop: "warmturn stop 8000",
    ls: "warmturn ls -n 5",
    show: "warmturn show last --misses",
    rm: "warmturn rm conv_6f2a9c 'Blue whale'",
    fork: "warmturn fork last",
    export: "warmturn export last -o whale.md",
    pin: "warmturn pin last --ttl 12h",
    import_: "warmturn import whale.warmturn",
    stats: "warmturn stats --json",
    watch: "warmturn watch --interval 5",
    doctor: "warmturn doctor --model smollm2",
    verify: "warmturn verify --data-dir /var/lib/warmturn",
    backup: "warmturn backup /mnt/backup/warmturn",
    pull: "warmturn pull smollm2",
    models: "warmturn models --json",
}
for command, example in _EXAMPLES.items():
    app.command(command.__name__.rstrip("_"), epilog=f"Example: {example}")(command)


@app.command(cls=DeferredCommand, epilog="Example: warmturn demo --json")
def demo() -> Callable[..., None]:
    """Show what saved state does: one conversation in all reuse modes, through a kill -9 of the server."""
    from warmturn.cli.demo.command import demo

    return demo


@app.command(cls=DeferredCommand, epilog="Example: warmturn bench --clients 4 --modes state,prompt --report report")
def bench() -> Callable[..., None]:
    """Put load on a server and compare the reuse modes: latency, throughput, tokens reused, seconds saved."""
    from warmturn_bench.cli import bench

    return bench


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
