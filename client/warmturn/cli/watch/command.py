"""`warmturn watch`: a server under load, as it goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from warmturn.cli.console import answer_json, styled_console
from warmturn.cli.options import ApiKey, Url, connect
from warmturn.cli.signals import ending_for_sure
from warmturn.cli.watch.lines import json_line
from warmturn.cli.watch.view import Screen
from warmturn.cli.watch.watcher import Watcher

_TIMEOUT_SECONDS = 10.0
_LOOK_AT_SIZE_SECONDS = 0.1


def watch(
    interval: Annotated[float, typer.Option("--interval", "-i", min=0.1, help="Seconds between looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print the figures after one interval, and leave.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON each interval, for scripts.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Watch a server work: throughput, time to first token, reuse by tier, time saved.

    Rates are those of the last interval, times those of the last minute, all else since the server started.
    Ctrl-C leaves.
    """
    with connect(url, api_key, timeout=_TIMEOUT_SECONDS) as client:
        watcher = Watcher(client)
        watcher.first()
        console = styled_console(stderr=False)
        if once:
            time.sleep(interval)
            watcher.ask()
            _tell(watcher, console, as_json)
        elif as_json or not console.is_terminal:
            _print_each(watcher, console, interval, as_json)
        else:
            _redraw(watcher, console, interval)


def _print_each(watcher: Watcher, console: Console, interval: float, as_json: bool) -> None:
    while True:
        _tell(watcher, console, as_json)
        time.sleep(interval)
        watcher.ask()


def _tell(watcher: Watcher, console: Console, as_json: bool) -> None:
    if as_json:
        answer_json(json_line(watcher.samples[-1], watcher.a_minute_ago), indent=None)
    else:
        console.print(Screen(watcher))


def _redraw(watcher: Watcher, console: Console, interval: float) -> None:
    """On a screen of its own, as `top` does; what was last seen stays when it is left."""
    screen = Screen(watcher)
    with ending_for_sure(), suppress(KeyboardInterrupt), _drawn(screen, console) as live:
        while True:
            _wait(interval, live, screen)
            watcher.ask()
            live.refresh()
    console.print(screen)


@contextmanager
def _drawn(screen: Screen, console: Console) -> Iterator[Live]:
    """Live as a context manager draws before it is entered: a signal in that moment would leave the terminal to it."""
    live = Live(screen, console=console, screen=True, auto_refresh=False)
    try:
        live.start(refresh=True)
        yield live
    finally:
        live.stop()


def _wait(seconds: float, live: Live, screen: Screen) -> None:
    """Meanwhile the window may change its size."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_AT_SIZE_SECONDS))
        if live.console.size != screen.drawn_for:
            live.refresh()
