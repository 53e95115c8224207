"""`warmturn demo`: the claim, shown on this machine."""

import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from warmturn.cli.console import answer_json, styled_console
from warmturn.cli.demo.next_steps import after_demo, after_demo_at
from warmturn.cli.demo.result import DemoResult
from warmturn.cli.demo.run import Demo
from warmturn.cli.demo.script import GENERIC_SCRIPT, bundled_script, script_for
from warmturn.cli.demo.view import View
from warmturn.cli.options import ApiKey, AsJson, connect
from warmturn.cli.signals import ending_for_sure
from warmturn.client import Client
from warmturn.own_server import OwnServer

_BUNDLED = "bundled"


def demo(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            help="`bundled` (default), what `warmturn models` lists, a folder, or a hub id.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Run on this server instead of an own one.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Where the own server's model runs.")] = "cpu",
    as_json: AsJson = False,
    api_key: ApiKey = None,
) -> None:
    """Show what saved state does: one conversation in all reuse modes, through a kill -9 of the server.

    Exits 1 when a promise broke. With --url the server is not killed. With --json stdout is one JSON document.
    """
    if model is not None and url is not None:
        raise typer.BadParameter(
            "the server at --url has its model already; leave one of the two out", param_hint="--model"
        )
    view = View(styled_console(stderr=as_json))
    with ending_for_sure():
        if url is None:
            result = _on_own_server(model or _BUNDLED, device, view)
        else:
            result = _on_other_server(url, api_key, view)
    view.verdict(result)
    if as_json:
        answer_json(result.as_dict())
    else:
        view.next_steps(after_demo_at(url) if url else after_demo(None if model in (None, _BUNDLED) else model))
    if any(result.broken_promises()):
        raise typer.Exit(1)


def _on_own_server(model: str, device: str, view: View) -> DemoResult:
    script = bundled_script() if model == _BUNDLED else GENERIC_SCRIPT
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="warmturn-demo-")))
        server = stack.enter_context(OwnServer(model, folder, "--device", device, "--dtype", "float32"))
        with view.working("starting a server"):
            server.start()
        client = stack.enter_context(Client(server.url))
        return Demo(client, script, server, view).run(client.models()[0].id, recall_promised=model == _BUNDLED)


def _on_other_server(url: str, api_key: str | None, view: View) -> DemoResult:
    """The conversation is the one that fits its model, the bundled one's if that is served there."""
    with connect(url, api_key) as client:
        model = client.models()[0].id
        script = script_for(model)
        with closing(Demo(client, script, None, view)) as running:
            return running.run(model, recall_promised=script is not GENERIC_SCRIPT)
