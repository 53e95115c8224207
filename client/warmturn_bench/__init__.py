"""The load test: the same conversations in every reuse mode, and what each of them cost."""
