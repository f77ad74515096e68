"""Figures: what is exported can be read again, and says where it comes from."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import vitviz
from vitviz.draw import draw_curve, draw_heatmap
from vitviz.figure import PROVENANCE_KEY, Figure, Provenance
from vitviz.heatmap import Heatmap
from vitviz.ui.server.payloads import pack_picture

PROVENANCE = Provenance(
    model="embedded",
    weights_hash="3f2a91c04b7d" + "0" * 52,
    image_hash="9b1c" + "a" * 60,
    input_size=(224, 448),
    framing="centre crop",
    layer=0,
    head=3,
    query="r3c5",
    method="last hop",
    parameters={"alpha": np.float32(0.5), "fusion": "mean", "discard": 0.0},
)


def figure(drawing: object = None, **changes: object) -> Figure:
    heatmap = Heatmap([[0.0, 1.0], [0.25, 0.5]], "rollout")
    parts = {
        "arrays": {"rollout": heatmap.values},
        "drawing": drawing or draw_heatmap(heatmap, width=100),
        "alt": "Rollout as a heat map: strongest at row 0, column 1 — “upper right”.",
        "provenance": PROVENANCE,
        "snippet": "import vitviz\nmodel = vitviz.load_model('embedded')",
    }
    return Figure(**{**parts, **changes})  # type: ignore[arg-type]


def test_a_png_carries_its_alt_text_provenance_and_snippet() -> None:
    shown = figure()
    with Image.open(io.BytesIO(shown.png())) as read:
        assert read.format == "PNG" and read.mode == "RGB"
        text = dict(read.text)
        np.testing.assert_array_equal(np.asarray(read), np.asarray(shown.image()))
    assert text["Description"] == shown.alt
    assert text["Comment"] == PROVENANCE.line
    assert text["Software"] == f"vitviz {vitviz.__version__}"
    assert text["vitviz.snippet"] == shown.snippet
    assert Provenance.from_dict(json.loads(text[PROVENANCE_KEY])) == PROVENANCE


def test_an_npz_gives_back_every_array_and_needs_no_pickle() -> None:
    arrays = {"weights": np.random.default_rng(0).random((2, 3)).astype(np.float32), "labels": np.array(["a", "bé"])}
    with np.load(io.BytesIO(figure(arrays=arrays).npz()), allow_pickle=False) as read:
        assert set(read.files) == {"weights", "labels", PROVENANCE_KEY}
        np.testing.assert_array_equal(read["weights"], arrays["weights"])
        assert read["weights"].dtype == np.float32 and read["labels"].tolist() == ["a", "bé"]
        assert Provenance.from_dict(json.loads(str(read[PROVENANCE_KEY]))) == PROVENANCE


def test_a_matplotlib_drawing_is_exported_the_same_way() -> None:
    drawn = draw_curve(np.arange(4), {"": np.arange(4)}, x_label="x", y_label="y", width=320, height=200)
    shown = figure(drawn)
    with Image.open(io.BytesIO(shown.png())) as read:
        assert read.size == (320, 200)
        assert Provenance.from_dict(json.loads(read.text[PROVENANCE_KEY])) == PROVENANCE
        assert len(np.unique(np.asarray(read).reshape(-1, 3), axis=0)) > 10


def test_several_threads_may_export_at_once() -> None:
    def export(seed: int) -> bytes:
        y = np.random.default_rng(seed).random(20)
        return figure(draw_curve(np.arange(20), {"a": y}, x_label="x", y_label="y")).png()

    alone = [export(seed) for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(export, range(6))) == alone


def test_one_line_says_what_applies_and_nothing_else() -> None:
    assert PROVENANCE.line == (
        "embedded (weights 3f2a91c04b7d) · image 9b1caaaaaaaa · 448 x 224 pixels, centre crop · layer 0, head 3 · "
        f"query r3c5 · last hop (alpha 0.5, fusion mean, discard 0.0) · vitviz {vitviz.__version__}"
    )
    assert Provenance(model="embedded", weights_hash="random:7", version="").line == "embedded (weights random:7)"
    assert Provenance(version="").line == ""


def test_layer_and_head_zero_are_kept_and_what_does_not_apply_is_left_out() -> None:
    items = Provenance(model="m", layer=0, head=0).as_dict()
    assert items == {"model": "m", "layer": 0, "head": 0, "version": vitviz.__version__}


def test_provenance_of_a_later_version_can_still_be_read() -> None:
    read = Provenance.from_dict({"model": "m", "input_size": [14, 28], "something_new": 1})
    assert read == Provenance(model="m", input_size=(14, 28), version="")


def test_arrays_are_read_only_copies() -> None:
    source = np.zeros(3)
    shown = figure(arrays={"a": source})
    source[0] = 1
    assert shown.arrays["a"][0] == 0
    with pytest.raises(ValueError, match="read-only"):
        shown.arrays["a"][0] = 2


@pytest.mark.parametrize("name", ["file", "allow_pickle", "two words", "", "../up", PROVENANCE_KEY])
def test_names_that_an_npz_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name an array"):
        figure(arrays={name: np.zeros(2)})


def test_a_figure_needs_an_alt_text_and_plain_numbers() -> None:
    with pytest.raises(ValueError, match="alt text"):
        figure(alt="  ")
    with pytest.raises(ValueError, match="Python objects"):
        figure(arrays={"a": np.array([object()])})


def test_a_parameter_that_json_does_not_know_is_refused() -> None:
    with pytest.raises(TypeError, match="parameter of type set"):
        figure(provenance=Provenance(parameters={"a": {1}})).png()


def test_a_notebook_shows_the_picture_and_a_terminal_one_line() -> None:
    made = figure()
    assert Image.open(io.BytesIO(made._repr_png_())).size == made.image().size
    assert repr(made) == "Figure('last hop': rollout (2, 2))"


def test_what_a_photograph_says_of_place_and_camera_leaves_in_no_export() -> None:
    """Through loading, a figure over the photograph, and what the browser is sent."""
    secret, file = "49.0069 N, camera 4711 of A. Nobody", io.BytesIO()
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = secret, secret  # description and artist
    exif.get_ifd(0x8825)[29] = secret  # of the GPS block
    Image.new("RGB", (48, 32), (90, 120, 40)).save(file, "JPEG", exif=exif, comment=secret.encode())
    assert secret.encode() in file.getvalue()
    image = vitviz.load_image(file.getvalue())
    made = figure(draw_heatmap(Heatmap([[0.0, 1.0], [0.25, 0.5]], "rollout"), image=image, width=100))
    for sent in (made.png(), pack_picture(image), repr(vitviz.image_hash(image)).encode()):
        assert secret.encode() not in sent and b"eXIf" not in sent and b"Nobody" not in sent
