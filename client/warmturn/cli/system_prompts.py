"""Instructions that are used again and again, in files of their own."""

from pathlib import Path

from warmturn.errors import SettingsError
from warmturn.settings import system_prompts_folder

_SUFFIXES = ("", ".md", ".txt")


def instructions(text: str | None, file: str | None) -> str | None:
    """Given as they are, or in a file: a path, or the name of one in the folder of them. Not both."""
    if file is None:
        return text
    if text is not None:
        raise SettingsError("give --system or --system-file, not both")
    path = _found(file)
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise SettingsError(f"cannot read {path}: {reason}") from error


def _found(name: str) -> Path:
    given, folder = Path(name).expanduser(), system_prompts_folder()
    candidates = [given, *(folder / f"{name}{suffix}" for suffix in _SUFFIXES)]
    for path in candidates:
        if path.is_file():
            return path
    there = sorted(path.stem for path in folder.glob("*") if path.suffix in _SUFFIXES)
    known = f"it has {', '.join(there)}" if there else "it has none yet"
    raise SettingsError(f"there is no file {name}, and none of that name in {folder}; {known}")
