"""Tests of the documentation: its Python runs, its notebooks run, its reference is whole."""
