"""State that was promised to stay: whose, until when, and what becomes of promises that could not be kept."""
