"""What to say about a failure to someone at the command line."""

from warmturn.errors import ApiError, WarmturnError
from warmturn.settings import config_file

_NO_VALID_KEY = "invalid_api_key"


def advice(error: WarmturnError) -> str:
    """The error's own words, but for one: servers speak of headers, and here it is a flag or a variable."""
    if isinstance(error, ApiError) and error.code == _NO_VALID_KEY:
        return f"the server wants its key: give --api-key, or set WARMTURN_API_KEY, or api_key in {config_file()}"
    return str(error)
