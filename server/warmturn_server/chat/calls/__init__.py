"""Functions that a model calls: how families of models write that, told from text, and written into prompts."""
