"""Prompts that are expected: their beginnings are computed while nobody waits for anything."""
