"""The server's own page at `/`: a chat, and the figures of `/v1/stats` as charts. It holds no data; it asks the API."""

from .routes import is_open, router

__all__ = ["is_open", "router"]
