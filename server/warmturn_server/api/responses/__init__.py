"""`/v1/responses`: a turn, streamed or not, and what is kept of it."""
