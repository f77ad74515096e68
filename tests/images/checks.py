"""What a picture shows after it was loaded, and the sentence with which it was refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.images import zoo
from vitviz import load_image
from vitviz.errors import ImageError

SHOWN = zoo.quadrants()
MIDDLES = ((12, 16), (12, 56), (36, 16), (36, 56))  # (row, column), one in each quadrant


def pixels_of(source: object) -> np.ndarray:
    """(height, width, 3) uint8, after checking that the image is plain."""
    image = load_image(source)
    assert type(image) is Image.Image
    assert image.mode == "RGB"
    assert image.info == {}
    return np.asarray(image)


def refusal(source: object) -> str:
    """The message of the ImageError, after checking that it is short, plain and ends like a sentence."""
    with pytest.raises(ImageError) as caught:
        load_image(source)
    message = str(caught.value)
    assert message.endswith(".")
    assert len(message) < 240
    assert "\n" not in message
    assert "Traceback" not in message
    return message


FILES = {name: write(SHOWN) for name, (write, _) in zoo.WRITERS.items()}
