"""`warmturn verify` and `warmturn backup`: a server's data folder from outside; they need the server's packages."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from warmturn.cli.options import AsJson
from warmturn.cli.server_side import FAILED, load_server_settings, refuse, refuse_missing
from warmturn.cli.upkeep_view import as_json, lines

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The server's data folder. [env: WARMTURN_DATA_DIR]", show_default=False),
]


def verify(
    data_dir: DataDir = None,
    drop: Annotated[bool, typer.Option("--drop", help="Remove damaged state; not while a server runs.")] = False,
    json_: AsJson = False,
) -> None:
    """Look through a data folder: what is damaged, and what still works. It may be in use."""
    settings = load_server_settings({"data_dir": data_dir} if data_dir else {}, "verify")
    try:
        from warmturn_server.upkeep import verify as look_through
    except ModuleNotFoundError as error:
        refuse_missing(error, "verify")
    if not settings.data_dir.is_dir():
        refuse(f"there is no folder {settings.data_dir}; name it with --data-dir", FAILED)
    _tell(look_through(settings.data_dir, settings.log_secret_bytes, drop=drop), json_)


def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A folder that is not there yet.")],
    data_dir: DataDir = None,
    state: Annotated[bool, typer.Option("--state", help="Saved state too: large, and only worth time.")] = False,
    json_: AsJson = False,
) -> None:
    """Copy the conversations of a data folder, also while its server runs, and look through the copy."""
    settings = load_server_settings({"data_dir": data_dir} if data_dir else {}, "backup")
    try:
        from warmturn_server.upkeep import BackupRefused, back_up
    except ModuleNotFoundError as error:
        refuse_missing(error, "backup")
    try:
        findings = back_up(settings.data_dir, destination, settings.log_secret_bytes, with_state=state)
    except BackupRefused as error:
        refuse(str(error), FAILED)
    _tell(findings, json_)


def _tell(findings: Any, json_: bool) -> None:
    print(json.dumps(as_json(findings)) if json_ else "\n".join(lines(findings)))
    if not findings.is_sound:
        raise typer.Exit(FAILED)
