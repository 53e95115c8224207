"""Structured output: which tokens may come next where the whole output has to have a form."""
