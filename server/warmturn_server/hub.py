"""What is fetched from the hub, and how it is named there."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

from .errors import StartRefused, first_line

_MODEL_FILES = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]
_OTHER_FORMS = ["*/*", "consolidated*"]
"""The same weights once more, for other programs: `original/`, `onnx/`, Mistral's own format."""


def fetch(hub_id: str) -> Path:
    """The local copy of `OWNER/MODEL`, a folder, or of `OWNER/MODEL/FILE.gguf`: what is missing of it is fetched first.

    A fetch that was cut off goes on where it was. Raises `StartRefused` with what to do.
    """
    owner, _, rest = hub_id.partition("/")
    model, _, file = rest.partition("/")
    try:
        if file.endswith(".gguf"):
            return Path(hf_hub_download(f"{owner}/{model}", file))
        return Path(snapshot_download(hub_id, allow_patterns=_MODEL_FILES, ignore_patterns=_OTHER_FORMS))
    except (OSError, ValueError) as error:
        raise StartRefused(f"{hub_id} is no model here, and not to be had from the hub: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    match error:
        case GatedRepoError():
            return "its terms have to be accepted on its page there, and HF_TOKEN be set"
        case RepositoryNotFoundError():
            return "the hub does not have it, or not for this HF_TOKEN"
        case LocalEntryNotFoundError():
            return f"the hub cannot be reached ({first_line(error.__cause__ or error)})"
        case _:
            return first_line(error)
