"""From messages to the token ids of record, and back to text."""
