"""`/v1/completions`: prompts that are no conversations."""
