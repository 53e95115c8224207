"""The bundled model: a very small chat model that remembers what it was told, trained from scratch by this project."""

from pathlib import Path

NAME = "warmturn-mini"


def path() -> Path:
    """The folder that `from_pretrained` loads."""
    return Path(__file__).parent / "model"
