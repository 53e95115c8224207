"""The same bits however work is cut and batched: what `--exact` is made of."""
