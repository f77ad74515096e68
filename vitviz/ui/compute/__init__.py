"""Where the app's computing happens: one queue that every forward pass goes through, and a bounded store of results."""

from vitviz.ui.compute.queue import ComputeQueue, JobProgress, Ticket
from vitviz.ui.compute.results import Key, Results

__all__ = ["ComputeQueue", "JobProgress", "Key", "Results", "Ticket"]
