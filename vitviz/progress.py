"""`Progress`: the callback with which a long computation reports its progress and can be stopped."""

from __future__ import annotations

from collections.abc import Callable

# Called as progress(steps done, steps in all) after each step, on the computing thread. What a step is (a layer, an image, a
# byte) depends on the function. An exception that it raises stops the computation, propagates, and leaves no state behind.
Progress = Callable[[int, int], None]
