"""Which token is which patch: a model's own forward pass, run on coordinates in place of numbers."""
