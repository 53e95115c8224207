"""The claim, shown: one conversation, each turn answered three times, and a server killed in the middle."""
