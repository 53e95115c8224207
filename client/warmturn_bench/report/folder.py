"""The report's files: a page, its main picture, the JSON document, and every single turn."""

import json
from pathlib import Path

from warmturn.errors import SettingsError
from warmturn_bench.report.axes import WIDE
from warmturn_bench.report.page import main_picture, page, style
from warmturn_bench.result import BenchResult
from warmturn_bench.sample import Recording

PICTURE = "ttft_by_turn.svg"


def prepare(folder: Path) -> None:
    """Before anything runs: a folder that cannot be written should not cost a whole run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "turns.jsonl").open("a").close()
    except OSError as error:
        raise SettingsError(f"cannot write a report into {folder}: {error.strerror}") from error


def write(folder: Path, result: BenchResult, recording: Recording) -> None:
    lines = (json.dumps(sample.as_dict(), ensure_ascii=False) for sample in recording.samples)
    (folder / "turns.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    (folder / "result.json").write_text(json.dumps(result.as_dict(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    (folder / "index.html").write_text(page(result, recording), "utf-8")
    if picture := main_picture(result, recording, WIDE):
        (folder / PICTURE).write_text(_standalone(picture), "utf-8")


def _standalone(picture: str) -> str:
    """With its own colours, light and dark, and a ground of its own: it is shown where nobody knows our style."""
    start = picture.index(">") + 1
    ground = '<rect width="100%" height="100%" rx="8" style="fill:var(--paper)"/>'
    return f"{picture[:start]}<style>{style('chart.css')}</style>{ground}{picture[start:]}\n"
