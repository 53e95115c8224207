"""A conversation as one file: its words, its token ids and its saved state, signed. Layout and trust: FILES.md."""
