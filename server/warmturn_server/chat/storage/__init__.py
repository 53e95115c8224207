"""Where conversations are written down: one protocol, in SQLite or in Redis."""
