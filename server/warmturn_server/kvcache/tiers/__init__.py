"""Places for blocks: memory, disk, Redis. Bounded, least recently used out first."""
