"""Telling what a model thinks from what it says, in the way of each family of models."""
