"""What can go wrong, as one tree:

WarmturnError
├── ServerUnreachable    no connection, or it broke, or nothing came in time
├── ApiError             the server answered with an error
├── ProtocolError        what answered does not speak Warmturn's API
├── FileError            a file that cannot be written, or is not one that can be sent
└── SettingsError        an address, key or configuration file that cannot be used
"""


class WarmturnError(Exception):
    """Base of everything this package raises on purpose."""


class ServerUnreachable(WarmturnError):
    """No connection to the server, or it broke before the reply was complete."""


class ApiError(WarmturnError):
    """The server refused or failed; the fields are those of OpenAI's error object.

    `retry_after_seconds`: when the server wants to be asked again, where it says so.
    """

    retry_after_seconds: float | None = None

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param


class ProtocolError(WarmturnError):
    """The reply is not what the API promises: something else is listening there."""


class FileError(WarmturnError):
    """A conversation's file cannot be written, or is not one that can be sent; the message says why."""


class SettingsError(WarmturnError):
    """The client's own settings cannot be used; the message says which and why."""
