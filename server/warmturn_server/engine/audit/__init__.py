"""Control turns: computed from scratch to check what saved state saved, and whether it is right."""
