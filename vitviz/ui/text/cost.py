"""Words before a run that takes long."""

from __future__ import annotations

COUNTING = "Working out what this would cost"
COST = (
    "Running {model} at {width} x {height} pixels means {tokens} tokens, and each of them asks all others: about **{run}** for the "
    "forward pass, about **{sweep}** for each rollout after it, and {memory} of memory beside the model. This is an estimate from a "
    "short measurement on the server; you can stop at any time."
)
GO_ON = "Go on"
OWN_SIZE = "The model's own size instead"
TOO_LARGE_TO_KEEP = (
    "The queries and keys of this run would take {kept}, more than the {room} that the server keeps between clicks. Choose a "
    "smaller input size, or run it from Python."
)
COUNTING_WEIGHTS = "Working out how large {model} is"
WEIGHTS_COST = (
    "{model} has {parameters} million weights: **{memory}** of memory on the server. To load them, or to draw them at random, may take "
    "minutes. You can stop at any time."
)
EMBEDDED_MODEL = "The embedded model instead"
WORK_COST = (
    "{what}: about {passes} forward passes of {model} at {width} x {height} pixels, about **{run}** on this server. You can stop at "
    "any time."
)
