"""`Progress`: the callback with which a long computation reports its progress and can be stopped."""

from __future__ import annotations

from collections.abc import Callable

# Called as progress(steps done, steps in all) after each step, on the computing thread. What a step is (a layer, an image, a
# byte) depends on the function. An exception that it raises stops the computation, propagates, and leaves no state behind.
Progress = Callable[[int, int], None]


def part_of(progress: Progress | None, before: int, whole: int, size: int = 1) -> Progress | None:
    """The progress of a part of longer work: its steps count as `size` each, from `before` of `whole`."""
    return None if progress is None else lambda done, _: progress(before + size * done, whole)
