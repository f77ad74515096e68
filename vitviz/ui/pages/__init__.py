"""The pages: a folder each, found by `registry`."""
