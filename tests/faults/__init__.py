"""The fault suite: what must hold while everything breaks; long forms are commands, short ones are tests."""
