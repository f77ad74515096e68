"""Listening to an unmodified model: the capture of its attention and the trace it leaves. torch only."""
