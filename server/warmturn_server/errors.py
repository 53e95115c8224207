"""What can go wrong, as the caller sees it. The API layer turns these into OpenAI's error shape and nothing else."""

from __future__ import annotations


class WarmturnError(Exception):
    """Base of all errors that a caller may see; `str(error)` says what happened and what to do."""

    status = 500
    type = "server_error"
    code: str | None = None
    param: str | None = None
    """Which of the caller's fields is to blame."""

    def __init__(self, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.param = param or self.param


class InvalidRequest(WarmturnError):
    """The request cannot be served as it is."""

    status = 400
    type = "invalid_request_error"


class ContextLengthExceeded(InvalidRequest):
    """Prompt and reply can never fit: neither the model's context nor the K/V memory is large enough."""

    code = "context_length_exceeded"
    param = "input"


class NotFound(WarmturnError):
    """The named thing does not exist, or not for this caller."""

    status = 404
    type = "invalid_request_error"


class Conflict(WarmturnError):
    """Somebody else changes the same thing right now."""

    status = 409
    type = "invalid_request_error"
    retry_after_seconds: int | None = None
    """When to ask again, where that is of any use."""


class Overloaded(WarmturnError):
    """The server cannot take this request now; a later try may succeed."""

    status = 503
    code = "overloaded"


class PromiseRefused(WarmturnError):
    """State cannot be kept for as long as was asked. Nothing is promised, and nothing of the request was begun.

    `is_full`: it could be later, when other promises ran out or the disk has room.
    """

    status = 400
    type = "invalid_request_error"
    code = "promise_refused"
    param = "prompt_cache_options.ttl"

    def __init__(self, message: str, *, is_full: bool = False, retry_after_seconds: int | None = None) -> None:
        super().__init__(message, code="promises_full" if is_full else None)
        self.status = 429 if is_full else self.status
        self.retry_after_seconds = retry_after_seconds


class EngineFailed(WarmturnError):
    """The model's forward pass failed; the sequences of that step are lost, the conversation is not."""

    code = "engine_failed"


class NoNextToken(EngineFailed):
    """The model's logits name no token: they are no numbers, or none of them is left. Nothing of the turn is kept."""

    code = "no_next_token"

    def __init__(self) -> None:
        super().__init__(
            "The model gave no usable numbers for the next token (NaN or infinite logits). Nothing of this turn was "
            "kept, and the saved state that it went on from is not used again: ask once more. If it happens again, "
            "the model overflows on this prompt; serve it with --dtype float32."
        )


class NothingAllowed(EngineFailed):
    """What the request forbids leaves no token that is likely at all. Nothing of such a turn is kept."""

    status = 400
    type = "invalid_request_error"
    code = "no_token_allowed"

    def __init__(
        self,
        message: str = "bad_words forbid every token that is likely here, so that nothing sensible could be said: "
        "forbid less, and longer words.",
        param: str = "bad_words",
    ) -> None:
        super().__init__(message, param=param)


class StartRefused(WarmturnError):
    """The server does not start with these settings; raised before anything is served."""


class ModelRefused(StartRefused):
    """This model cannot be served correctly, so it is not served at all."""


def first_line(error: BaseException) -> str:
    """What an exception says, without the pages that some libraries add."""
    lines = (line.strip() for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)
