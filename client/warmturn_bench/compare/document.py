"""A run's JSON document, as `bench --json` printed it or `--report` wrote it, read again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmturn.errors import SettingsError
from warmturn.wire import REUSE_MODES, ReuseMode
from warmturn_bench.by_conversation import ConversationFigures

_OF_A_REPORT = "result.json"


@dataclass(frozen=True, slots=True)
class Document:
    """`load` says what was asked and how, `place` where and of whom; both by what they are called."""

    path: Path
    load: Mapping[str, Any]
    place: Mapping[str, Any]
    modes: Mapping[ReuseMode, Mapping[int, ConversationFigures]]
    tokens_per_second: Mapping[ReuseMode, float | None]
    seed: int


def read_document(path: Path) -> Document:
    """Of a file, or of the folder of a report. Raises `SettingsError` with what to do."""
    file = path / _OF_A_REPORT if path.is_dir() else path
    try:
        return _document(file, json.loads(file.read_text("utf-8")))
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{file} is no result of this version of `warmturn bench`: make one with --json or --report"
        ) from error


def _document(file: Path, content: dict[str, Any]) -> Document:
    run, modes = content["run"], content["modes"]
    known: list[ReuseMode] = [mode for mode in REUSE_MODES if mode in modes]
    return Document(
        path=file,
        load={"scenario": content["scenario"], "load": run["load"], "seed": run["seed"], "end": run["answers_end"]},
        place={"model": content["model"], "server": run["server"] or {}, "machine": run["machine"]},
        modes={mode: _conversations(modes[mode]["conversations"]) for mode in known},
        tokens_per_second={mode: modes[mode]["output_tokens_per_second"] for mode in known},
        seed=int(run["seed"]),
    )


def _conversations(found: list[dict[str, Any]]) -> dict[int, ConversationFigures]:
    return {figures.number: figures for figures in (ConversationFigures(**one) for one in found)}
