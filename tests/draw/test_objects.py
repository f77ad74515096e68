"""Objects on pictures, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from vitviz.draw.objects import COLOURS, colour_of, paint_boxes, paint_clusters, paint_colours, paint_mask
from vitviz.errors import DrawError


def grey(width: int = 40, height: int = 30) -> Image.Image:
    return Image.new("RGB", (width, height), (120, 120, 120))


def test_boxes_lie_where_they_are_said_to_lie():
    painted = np.asarray(paint_boxes(grey(), [(4, 6, 24, 20), (30, 0, 40, 30)]))
    first = (painted == colour_of(0)).all(-1)
    rows, cols = np.flatnonzero(first.any(1)), np.flatnonzero(first.any(0))
    assert (cols[0], cols[-1], rows[0], rows[-1]) == (5, 22, 7, 18)  # inside the black line
    assert (painted[6, 4:24] == 0).all() and (painted[13, 14] == 120).all()
    assert (painted == colour_of(1)).all(-1)[:, 31:].any()
    large = np.asarray(paint_boxes(grey(), [(4, 6, 24, 20)], scale=2))
    assert large.shape == (60, 80, 3) and (large[12, 8:48] == 0).all()
    assert (np.asarray(paint_boxes(grey(), [(5, 5, 5, 9)])) == 120).all(), "an empty box is not drawn"


def test_names_stand_beside_their_boxes():
    plain, named = (np.asarray(paint_boxes(grey(120, 90), [(20, 40, 90, 80)], names)) for names in ((), ("wheel",)))
    changed = np.flatnonzero((plain != named).any((1, 2)))
    assert changed[0] >= 10 and changed[-1] <= 40
    with pytest.raises(DrawError, match="2 names"):
        paint_boxes(grey(), [(0, 0, 9, 9)], ("a", "b"))


def test_outside_a_mask_the_picture_is_grey_and_dim():
    colour = Image.new("RGB", (8, 6), (200, 100, 0))
    mask = np.array([[True, False], [False, False]])
    painted = np.asarray(paint_mask(colour, mask))
    assert (painted[:3, :4] == (200, 100, 0)).all()
    outside = painted[3:, 4:]
    assert (outside[..., 0] == outside[..., 2]).all() and outside.max() < 60
    with pytest.raises(DrawError, match="do not lie over"):
        paint_mask(colour, np.ones((9, 9), bool))


def test_each_cluster_has_its_colour():
    painted = np.asarray(paint_clusters(grey(4, 2), np.array([[0, 1], [-1, 1]]), opacity=1))
    assert (painted[0, :2] == colour_of(0)).all() and (painted[0, 2:] == colour_of(1)).all()
    assert (painted[1, :2] == 120).all()


# Linear sRGB as it is seen without one of the three kinds of cones: Machado, Oliveira and Fernandes 2009, severity 1.
WITHOUT = {
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


@pytest.mark.parametrize("kind", ["all cones", *WITHOUT])
@pytest.mark.parametrize("under", [50, 128, 210])
def test_clusters_are_told_apart_by_their_colours(kind: str, under: int):
    """Over dark and light grey, and without full colour vision, no two are closer than the closest of Okabe and Ito's."""
    labels = np.arange(len(COLOURS))[None]
    ground = Image.new("RGB", (len(COLOURS), 1), (under, under, under))
    painted = np.asarray(paint_clusters(ground, labels))[0] / 255  # (colours, 3)
    assert np.ptp(painted, axis=1).min() > 0.1, "one looks like no colour"
    linear = np.where(painted <= 0.04045, painted / 12.92, ((painted + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(WITHOUT.get(kind, np.eye(3))).T, 0, 1)
    lab = rgb2lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))
    apart = np.linalg.norm(lab[:, None] - lab, axis=-1) + 1e3 * np.eye(len(COLOURS))
    assert apart[7:].min() >= apart[:7, :7].min() > 5


def test_colours_are_not_blended():
    colours = np.random.default_rng(0).random((2, 3, 3))
    painted = np.asarray(paint_colours(colours, 9, 4))
    np.testing.assert_array_equal(painted, (colours * 255).round().astype(np.uint8).repeat(2, 0).repeat(3, 1))
    with pytest.raises(DrawError, match="finite"):
        paint_colours(np.full((2, 2, 3), np.nan), 4, 4)
