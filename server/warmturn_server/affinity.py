"""What is to stay together where several servers stand behind one address: each session at one of them.

That is for speed alone, for any server goes on with any conversation. `server/deploy/haproxy.cfg` says the same in
HAProxy's words; a test holds both to each other.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final

HEADER: Final = "x-session-id"
"""By which callers name a session themselves, and routers tell each other."""

_CONVERSATION: Final = re.compile(r"/v1/conversations/([^/]+)")
_RESPONSE: Final = re.compile(r"/v1/responses/(resp_[^/]+)")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def session_of(path: str, named: str = "", body: bytes = b"") -> str | None:
    """A short name of what belongs together, None where nothing is known.

    In this order: the conversation in the path, what the caller `named` in the header, the conversation in the body,
    the response that is asked for or gone on from, the first message of a client that sends everything again.
    `body`: of a POST, JSON; what is none counts as empty.
    """
    said = _object(body)
    found = (
        _first(_CONVERSATION, path)
        or named
        or _conversation(said.get("conversation"))
        or _first(_RESPONSE, path)
        or _text(said.get("previous_response_id"))
        or (_first_message(said.get("messages")) if path == "/v1/chat/completions" else "")
    )
    return _short(found) if found else None


def _object(body: bytes) -> dict[str, object]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _conversation(said: object) -> str:
    """A string, or an object with an id."""
    return _text(said.get("id")) if isinstance(said, dict) else _text(said)


def _first_message(messages: object) -> str:
    """Instructions are the same for many: then what comes behind them."""
    match messages:
        case [{"role": "system" | "developer"}, {"content": str(content)}, *_] if content:
            return content
        case [{"role": str(), "content": str(content)}, *_]:
            return content
    return ""


def _first(pattern: re.Pattern[str], path: str) -> str:
    found = pattern.match(path)
    return found[1] if found else ""


def _text(said: object) -> str:
    return said if isinstance(said, str) else ""


def _short(name: str) -> str:
    """What could not stand in a header, or is long, by its digest."""
    if _PLAIN.fullmatch(name):
        return name
    return hashlib.sha1(name.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest().upper()
