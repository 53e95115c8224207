"""A transformers model as one function: tokens of many sequences in, logits out, K and V in place."""
