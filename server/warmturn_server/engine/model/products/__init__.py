"""Products of activations with weights, each a callable of its own: what differs is how the weights are kept."""
