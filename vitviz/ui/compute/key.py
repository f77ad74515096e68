"""What names a result: two askers with the same key want the same numbers."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Key:
    """Names one result.

    what     the question: "trace", "rollout", ...
    model    the name the model was loaded by
    weights  fingerprint of the loaded model (see `Model.fingerprint`), so that two of one name never meet
    image    hash of the image, "" where the answer needs no picture
    size     (height, width) of the model input in pixels, None for the model's own
    framing  how the picture was brought to that size
    knobs    whatever else the answer depends on, as (name, value) pairs in alphabetical order
    scope    None for what everybody may see (gallery pictures); a session's id for what is private to it. It is part of the
             key, so that one session's upload can never answer another's question, not even for the same bytes.
    """

    what: str
    model: str
    weights: str
    image: str = ""
    size: tuple[int, int] | None = None
    framing: str = ""
    knobs: tuple[tuple[str, Hashable], ...] = ()
    scope: str | None = None

    def asking(self, what: str, **knobs: Hashable) -> Key:
        """The key of another question about the same model and image."""
        return replace(self, what=what, knobs=tuple(sorted(knobs.items())))
