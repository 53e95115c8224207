"""Files that go with a message, as text before it."""

from collections.abc import Sequence
from pathlib import Path

from warmturn.errors import SettingsError

_FENCE = "```"
_IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")


def with_files(files: Sequence[Path]) -> str:
    """Each in a fence under its name, an empty line behind; raises `SettingsError` for what is no text."""
    return "".join(f"{file.name}:\n\n{_fenced(_text(file))}\n\n" for file in files)


def _text(file: Path) -> str:
    try:
        content = file.expanduser().read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}") from error
    if content.startswith(_IMAGES):
        raise SettingsError(f"{file} is an image, and the models here read text only")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is no text in UTF-8, and the models here read nothing else") from error


def _fenced(text: str) -> str:
    """The fence is longer than any in the text."""
    fence = _FENCE
    while fence in text:
        fence += "`"
    return f"{fence}\n{text.rstrip()}\n{fence}"
