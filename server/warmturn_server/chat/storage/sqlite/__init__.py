"""The log of a single server."""
