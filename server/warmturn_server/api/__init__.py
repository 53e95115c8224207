"""HTTP and nothing else: OpenAI's stateful API, with extensions, around the chat service."""

from __future__ import annotations

from .access import Access
from .app import MAX_BODY_BYTES, create_app
from .operations import ServerMetrics
from .warm_up import warm_up

__all__ = ["MAX_BODY_BYTES", "Access", "ServerMetrics", "create_app", "warm_up"]
