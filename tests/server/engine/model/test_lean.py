"""The lean executor: which models it takes, that it says what they say, and that a mistake in one layer is found."""
