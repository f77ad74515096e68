"""Tests of vitviz.figures."""
