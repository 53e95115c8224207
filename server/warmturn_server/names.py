"""Names of hosts, and origins, as they stand in requests and in settings."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s:/@?#\[\]*]+?)\.?)(?::\d*)?", re.IGNORECASE)
_PATTERN: Final = re.compile(r"\*|(\*\.)?[^\s:/@?#\[\]*]+")
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


def is_own_name(host: str, allowed: Iterable[str]) -> bool:
    """Whether the header `Host` names this server: an address, this machine, or one of the patterns `allowed`."""
    if (found := _HOST.fullmatch(host)) is None:
        return False
    name = (found[1] or found[2]).lower()
    return is_address(name) or _is_local(name) or any(_fits(name, pattern.lower()) for pattern in allowed)


def is_of(origin: str, host: str) -> bool:
    """Whether a page of `origin` came from the server seen as `host`; behind a proxy that speaks TLS, too."""
    scheme, _, netloc = origin.lower().partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    return port is not None and bool(netloc) and netloc.removesuffix(port) == host.lower().removesuffix(port)


def is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_host_pattern(text: str) -> bool:
    return _PATTERN.fullmatch(text) is not None


def is_origin(text: str) -> bool:
    """Whether a browser could send this as `Origin`; `*` stands for any."""
    parts = urlsplit(text)
    return text in ("*", "null") or bool(parts.scheme and parts.netloc and f"{parts.scheme}://{parts.netloc}" == text)


def _is_local(name: str) -> bool:
    """Browsers and resolvers keep these names to this machine (RFC 6761)."""
    return name == "localhost" or name.endswith(".localhost")


def _fits(name: str, pattern: str) -> bool:
    return pattern == "*" or (name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern)
