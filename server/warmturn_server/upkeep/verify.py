"""Log and state of a data folder, looked through for damage."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from ..chat.storage.sqlite.inspection import LogInspection, inspect_log
from ..data_dir import LOG_NAME, STATE_NAME, is_in_use
from ..kvcache.tiers.inspection import StateInspection, inspect_state


@dataclass(frozen=True, slots=True)
class Findings:
    """`log` is None where there is none. `dropped`: damaged blocks that were removed."""

    data_dir: Path
    in_use: bool
    log: LogInspection | None
    state: StateInspection
    dropped: int = 0

    @property
    def is_sound(self) -> bool:
        return (self.log is None or self.log.is_sound) and self.state.is_sound


def verify(data_dir: Path, log_secret: bytes, *, drop: bool = False) -> Findings:
    """Only reads, but for damaged blocks where `drop` says so and no server uses the folder: they are disposable."""
    in_use = is_in_use(data_dir)
    log = data_dir / LOG_NAME
    state = inspect_state(data_dir / STATE_NAME)
    dropped = 0
    for path in state.damaged if drop and not in_use else ():
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            dropped += 1
    has_log = any(data_dir.glob(f"{LOG_NAME}*"))
    return Findings(data_dir, in_use, inspect_log(log, log_secret) if has_log else None, state, dropped)
