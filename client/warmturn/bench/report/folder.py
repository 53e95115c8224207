"""The report's files: a page, its main picture, the JSON document, and every single turn."""

import json
from pathlib import Path

from warmturn.bench.recording import Recording
from warmturn.bench.result import BenchResult
from warmturn.errors import SettingsError


def prepare(folder: Path) -> None:
    """Before anything runs: a folder that cannot be written should not cost a whole run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "turns.jsonl").open("a").close()
    except OSError as error:
        raise SettingsError(f"cannot write a report into {folder}: {error.strerror}") from error


def write(folder: Path, result: BenchResult, recording: Recording) -> None:
    (folder / "result.json").write_text(json.dumps(result.as_dict(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    lines = (json.dumps(sample.as_dict(), ensure_ascii=False) for sample in recording.samples)
    (folder / "turns.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
