"""Past one machine on Ray Serve: `serve run warmturn_server.ray:app redis=redis://host:6379/0 replicas=2`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def app(arguments: Mapping[str, Any]) -> Any:
    """The application that `serve run`, `serve deploy` and KubeRay build. Raises `StartRefused` with what to do."""
    from .application import application  # what only reads arguments, or runs in a proxy, needs less

    return application(arguments)


__all__ = ["app"]
