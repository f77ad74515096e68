"""Where the app's computing happens: one queue that every forward pass goes through, and bounded room for what comes out."""

from vitviz.ui.compute.key import Key
from vitviz.ui.compute.queue import ComputeQueue, Ticket
from vitviz.ui.compute.results import Results
from vitviz.ui.compute.work import Progress

__all__ = ["ComputeQueue", "Key", "Progress", "Results", "Ticket"]
