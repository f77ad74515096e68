"""Finds out which token is which patch by running a model's own forward pass on coordinates in place of numbers."""
