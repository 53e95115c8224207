"""Blocks in a Redis that several servers share."""
