"""What a package index shows: the README, but for pictures that lie beside it in the repository."""

import re
from pathlib import Path
from typing import Any, Final

from hatchling.metadata.plugin.interface import MetadataHookInterface

_PICTURE_BESIDE_IT: Final = re.compile(r"!\[([^]]*)\]\((?!https:)[^)]*\)")


class Description(MetadataHookInterface):
    """Hatchling's: called for each wheel and source distribution."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": _PICTURE_BESIDE_IT.sub(r"*\1*", text)}
