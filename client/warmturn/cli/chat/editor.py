"""Text in the editor that the user has chosen."""

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from warmturn.errors import SettingsError


def edited(text: str) -> str:
    """As it was when the editor ended, without blanks around; `$VISUAL`, `$EDITOR` or vi."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="warmturn-") as folder:
        file = Path(folder) / "message.md"
        file.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*editor, str(file)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SettingsError(
                f"{editor[0]} did not edit the message ({error}); set EDITOR to one that does"
            ) from error
        return file.read_text(encoding="utf-8").strip()
