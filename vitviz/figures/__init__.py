"""Figures of one image: arrays, drawing, alternative text, provenance, and Python code that computes the arrays again.

Pages, the command line and notebooks call the same functions, so that their figures are the same.
"""
