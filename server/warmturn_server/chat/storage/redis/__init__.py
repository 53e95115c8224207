"""The log of several servers: each change one script."""
