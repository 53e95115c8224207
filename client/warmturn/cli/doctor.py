"""`warmturn doctor`: whether a server would do well here; needs the server's packages."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer

from warmturn.cli.console import answer, styled_console
from warmturn.cli.options import AsJson
from warmturn.cli.server_side import FAILED, load_server_settings, refuse_missing
from warmturn.cli.upkeep import DataDir

_SIGNS = {"good": " ", "slow": "~", "problem": "!"}


def doctor(
    model: Annotated[
        str | None, typer.Option("--model", help="As for `serve`. [env: WARMTURN_MODEL]", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    redis: Annotated[
        str | None, typer.Option("--redis", help="As for `serve`. [env: WARMTURN_REDIS]", show_default=False)
    ] = None,
    json_: AsJson = False,
) -> None:
    """Look at this machine as a server would: packages, processors, memory, disk, Redis, model; what is slow, and why.

    Exit code 1 where something will not work. Every setting of `serve` counts, from its environment variable.
    """
    given = {name: value for name, value in {"model": model, "data_dir": data_dir, "redis": redis}.items() if value}
    with styled_console(stderr=True).status("[dim]looking at this machine ...") as status:  # imports alone take seconds
        settings = load_server_settings(given, "doctor")
        findings = []
        for finding in _examine(settings):
            findings.append(finding)
            if not json_:
                status.stop()
                _tell(finding)
                status.start()
    if json_:
        answer(json.dumps([asdict(finding) for finding in findings], indent=2))
    if any(finding.verdict == "problem" for finding in findings):
        raise typer.Exit(FAILED)


def _examine(settings: Any) -> Iterator[Any]:
    try:
        from warmturn_server.doctor import examine
    except ModuleNotFoundError as error:
        refuse_missing(error, "doctor")
    yield from examine(settings)


def _tell(finding: Any) -> None:
    answer(f"{_SIGNS[finding.verdict]} {finding.name:13} {finding.value}")
    if finding.advice:
        answer(f"{'':15} {finding.advice}")
