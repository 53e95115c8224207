"""`warmturn pull` and `warmturn models`: models for a server on this machine; they need the server's packages."""

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from warmturn.cli.console import answer, answer_json, note
from warmturn.cli.options import AsJson
from warmturn.cli.server_side import FAILED, load_server_settings, refuse, refuse_missing
from warmturn.cli.upkeep import DataDir
from warmturn.format import byte_size

_GGUF_NEEDS: Final = ("gguf", "accelerate")


def pull(
    model: Annotated[str, typer.Argument(help="A name that `warmturn models` lists, or a hub id (OWNER/MODEL).")],
    data_dir: DataDir = None,
) -> None:
    """Bring a model here, to be served with `warmturn serve --model MODEL`.

    What was cut off goes on, or begins again; what is there already is not fetched again.
    """
    folder = _models_folder("pull", data_dir)
    try:
        from warmturn_server.pulling import PullFailed
        from warmturn_server.pulling import pull as bring
    except ModuleNotFoundError as error:
        refuse_missing(error, "pull")
    try:
        there = bring(model, folder)
    except PullFailed as error:
        refuse(str(error), FAILED)
    answer(str(there))
    note(f"{model} is here; serve it: warmturn serve --model {model}")
    is_gguf = there.suffix == ".gguf" or any(there.glob("*.gguf"))
    if is_gguf and not all(map(find_spec, _GGUF_NEEDS)):
        note("it is a GGUF file, for which the server needs more packages: pip install 'warmturn[gguf]'")


def models(data_dir: DataDir = None, json_: AsJson = False) -> None:
    """List the models that can be served here, and those that `warmturn pull` knows by name."""
    folder = _models_folder("models", data_dir)
    try:
        from warmturn_server.pulling import listing
    except ModuleNotFoundError as error:
        refuse_missing(error, "models")
    found = listing(folder)
    if json_:
        answer_json([asdict(model) for model in found])
    else:
        for model in found:
            answer(_line(model))


def _models_folder(command: str, data_dir: Path | None) -> Path:
    settings = load_server_settings({"data_dir": data_dir} if data_dir else {}, command)
    from warmturn_server.data_dir import MODELS_NAME

    folder: Path = settings.data_dir / MODELS_NAME
    return folder


def _line(model: Any) -> str:
    where = "not here: warmturn pull" if model.origin == "known" else model.origin
    return f"{model.name:20} {byte_size(model.num_bytes):>9}  {where:24} {model.about}".rstrip()
