"""One head by hand: every step from a token's pixels to its output in one attention head, with the model's own numbers.

Vaswani et al. 2017 (arXiv 1706.03762), equation 1, as Dosovitskiy et al. 2021 (arXiv 2010.11929) use it on patches;
rotation of queries and keys after Su et al. 2021 (arXiv 2104.09864), relative bias after Bao et al. 2022 (arXiv 2106.08254).
"""

from vitviz.analysis.by_hand.embedding import EmbeddedToken, embedded_token
from vitviz.analysis.by_hand.head import HeadByHand, at_temperature, head_by_hand
from vitviz.analysis.by_hand.layer import OpenLayer, open_layer
from vitviz.analysis.by_hand.steps import Norm, Projection, Rotation

__all__ = [
    "EmbeddedToken",
    "HeadByHand",
    "Norm",
    "OpenLayer",
    "Projection",
    "Rotation",
    "at_temperature",
    "embedded_token",
    "head_by_hand",
    "open_layer",
]
