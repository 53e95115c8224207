"""Options that several commands share, and the connection they lead to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from warmturn.cli.signals import noticing_signals
from warmturn.client import Client
from warmturn.settings import config_file, load_settings

Url = Annotated[str | None, typer.Option("--url", help="The server's address [env: WARMTURN_URL].", show_default=False)]
ApiKey = Annotated[
    str | None, typer.Option("--api-key", help="Its key, if it wants one [env: WARMTURN_API_KEY].", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Reuse = Annotated[
    Literal["state", "prompt", "nothing"],
    typer.Option("--reuse", help="Continue from saved state, prefill the whole prompt, or keep no cache at all."),
]
System = Annotated[str | None, typer.Option("--system", "-s", help="Instructions for the model.", show_default=False)]
SystemFile = Annotated[
    str | None,
    typer.Option(
        "--system-file",
        help="A file with them, or the name of one in the folder `system` beside the client's config.toml.",
        show_default=False,
    ),
]
Files = Annotated[
    list[Path] | None,
    typer.Option("--file", "-f", metavar="FILE", help="A text file to go with it; again for more.", show_default=False),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        "-t",
        min=0.0,
        max=2.0,
        help="0 gives the same answer every time; default what the model's makers recommend.",
        show_default=False,
    ),
]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="The longest reply, in tokens.", show_default=False)
]
Name = Annotated[str, typer.Argument(metavar="CONVERSATION", help="Its id, the id's beginning, its title, or `last`.")]


@contextmanager
def connect(url: str | None, api_key: str | None, *, timeout: float = 600.0) -> Iterator[Client]:
    settings = load_settings({"url": url, "api_key": api_key}, os.environ, config_file())
    with noticing_signals(), Client(settings.url, settings.api_key, timeout) as client:
        yield client
