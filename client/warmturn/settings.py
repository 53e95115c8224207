"""The client's settings: flag, then environment, then a TOML file in the platform's config folder, then the default."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_config_path, user_data_path, user_state_path

from warmturn.client import DEFAULT_URL
from warmturn.errors import SettingsError

_ENVIRONMENT = {"url": "WARMTURN_URL", "api_key": "WARMTURN_API_KEY"}


@dataclass(frozen=True, slots=True)
class ClientSettings:
    url: str = DEFAULT_URL
    api_key: str | None = None


def load_settings(flags: Mapping[str, str | None], environ: Mapping[str, str], config: Path) -> ClientSettings:
    """Of each setting the first one given; an empty variable counts as not given."""
    given = {name: value for name, value in flags.items() if value is not None}
    from_environment = {name: environ[key] for name, key in _ENVIRONMENT.items() if environ.get(key)}
    return ClientSettings(**{**_read_file(config), **from_environment, **given})


def config_file() -> Path:
    return user_config_path("warmturn") / "config.toml"


def system_prompts_folder() -> Path:
    """Files of instructions that `--system-file NAME` finds by their name."""
    return user_config_path("warmturn") / "system"


def background_folder() -> Path:
    """Where is written down which servers run in the background. Raises `SettingsError`."""
    folder = user_state_path("warmturn") / "servers"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SettingsError(f"cannot keep track of servers in {folder}: {error.strerror}") from error
    return folder


def models_folder() -> Path:
    """Where `warmturn pull` puts models: in the data folder of the servers of this machine."""
    data_dir = os.environ.get("WARMTURN_DATA_DIR")
    return (Path(data_dir) if data_dir else user_data_path("warmturn")) / "models"


def history_file() -> Path:
    """What was typed at the prompt, for arrow-up, and for nobody else; where it cannot be written, it lasts as long as
    the program.
    """
    try:
        folder = user_state_path("warmturn", ensure_exists=True)
        folder.chmod(0o700)
        history = folder / "history"
        history.touch(mode=0o600)
        history.chmod(0o600)
    except OSError:
        return Path(os.devnull)
    return history


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    for name, value in values.items():
        if name not in _ENVIRONMENT:
            raise SettingsError(f"{path}: unknown setting {name!r}; known are {', '.join(_ENVIRONMENT)}")
        if not isinstance(value, str):
            raise SettingsError(f"{path}: {name} must be a string")
    return values
