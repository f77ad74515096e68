"""Answers made complete: one image's numbers, drawn, with where they come from and the Python that makes them again.

The app's pages, the command line and a notebook ask here for the same `Figure`, so that they never differ.
"""
