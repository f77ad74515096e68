"""Computation in the app: one queue for every forward pass, and a bounded store of results."""

from vitviz.ui.compute.queue import ComputeQueue, JobProgress, Ticket
from vitviz.ui.compute.results import Key, Results

__all__ = ["ComputeQueue", "JobProgress", "Key", "Results", "Ticket"]
