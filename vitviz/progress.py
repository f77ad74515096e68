"""How far a long piece of work is, and the way to stop it: the one type of callback for it."""

from __future__ import annotations

from collections.abc import Callable

# Called as progress(steps done, steps in all) after each step, from the thread that works. Steps are those of the function
# called: layers, images, bytes. What it raises ends the work and comes out of it unchanged, and nothing is left behind.
Progress = Callable[[int, int], None]
