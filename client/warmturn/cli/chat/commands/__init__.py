"""What can be typed at the prompt instead of a message: a function each, whose docstring is its help."""
