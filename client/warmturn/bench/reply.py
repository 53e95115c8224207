"""What came back for one turn, as any server can give it."""

from dataclasses import dataclass

import httpx

from warmturn.errors import ApiError, ProtocolError, WarmturnError


@dataclass(frozen=True, slots=True)
class Reply:
    """Moments are those of `time.perf_counter`. What the server does not say is None, never 0."""

    text: str
    piece_moments: tuple[float, ...]
    ended: float
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cached_by_tier: dict[str, int] | None = None
    saved_ms: float | None = None
    miss: str | None = None


class TurnFailed(Exception):
    """One turn did not work out; `kind` is what failures are counted by."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def failure(error: WarmturnError) -> TurnFailed:
    match error:
        case ApiError(status=429 | 503 as status):
            return TurnFailed(f"busy ({status})", str(error))
        case ApiError():
            return TurnFailed(f"refused ({error.status})", str(error))
        case ProtocolError():
            return TurnFailed("protocol", str(error))
        case _ if isinstance(error.__cause__, httpx.TimeoutException):
            return TurnFailed("timeout", str(error))
        case _ if isinstance(error.__cause__, httpx.ConnectError):
            return TurnFailed("unreachable", str(error))
        case _:
            return TurnFailed("connection broke", str(error))
