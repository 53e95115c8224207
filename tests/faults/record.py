"""What a row's run came to, kept in a file after each trial: a run that is cut off goes on where it was."""

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.faults.row import Outcome


@dataclass(frozen=True, slots=True)
class Run:
    """Which run it is: another commit or seed begins another."""

    row: str
    seed: int
    commit: str
    machine: str

    def file_in(self, folder: Path) -> Path:
        return folder / f"{self.row}-{self.commit}-{self.seed}.json"


@dataclass(slots=True)
class Record:
    """`failures`: number of the trial and what did not hold."""

    run: Run
    trials: int = 0
    seconds: float = 0.0
    failures: list[tuple[int, str]] = field(default_factory=list)
    seen: Outcome = field(default_factory=Outcome)

    @classmethod
    def of(cls, run: Run, folder: Path) -> Self:
        """As far as this run has come."""
        file = run.file_in(folder)
        return cls.read(file) if file.exists() else cls(run)

    @classmethod
    def read(cls, file: Path) -> Self:
        known = json.loads(file.read_text())
        run, seen = Run(**known.pop("run")), known.pop("seen")
        failures = [(number, why) for number, why in known.pop("failures")]
        return cls(run, **known, failures=failures, seen=Outcome(Counter(seen["counts"]), seen["largest"]))

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        file = self.run.file_in(folder)
        unfinished = file.with_suffix(".part")
        unfinished.write_text(json.dumps(self.as_dict(), indent=1))
        unfinished.replace(file)

    def as_dict(self) -> dict[str, Any]:
        seen = {"counts": dict(self.seen.counts), "largest": self.seen.largest}
        known = {"trials": self.trials, "seconds": round(self.seconds, 1), "failures": self.failures}
        return {"run": asdict(self.run), **known, "seen": seen}
