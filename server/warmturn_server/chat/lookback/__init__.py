"""What a reply looked at, told in items and turns instead of token positions."""
