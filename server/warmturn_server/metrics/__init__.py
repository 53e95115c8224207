"""What the server counts: for Prometheus, and as JSON for `/v1/stats`."""

from .server import Metrics

__all__ = ["Metrics"]
