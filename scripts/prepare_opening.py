"""Writes assets/opening: what the start page shows of the gallery's first photograph while the server starts.

    python scripts/prepare_opening.py

To be run when the embedded model, that photograph, or a sentence about it changes; tests/ui/shell/test_opening.py compares the
files with the page and says so. The page itself is run, and what it tells the browser is written down: in start.json as it is,
without addresses; in start.bin the photograph's pixels, the shares of the patch that is asked about first in every layer, and
what positions are compared by.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from streamlit.testing.v1 import AppTest

import vitviz
from vitviz.analysis.attention import query_weights
from vitviz.samples import load_sample, samples
from vitviz.ui.pages.start import opening, position_map
from vitviz.ui.server.payloads import pack, pack_picture, unpack
from vitviz.ui.shell import main

# Made anew in every run: addresses, what belongs to a run, and what the opening reads from elsewhere.
NOT_KEPT = ("key", "received", "picture", "position_map", "gallery", "pages", "hiding")


def prepared() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """(what the start page tells the browser, arrays) of the gallery's first photograph."""
    page = AppTest.from_file(main.__file__, default_timeout=120).run()
    (figure,) = page.get("bidi_component")
    data = json.loads(figure.proto.json)
    kept = {name: value for name, value in data.items() if name not in NOT_KEPT}
    kept["layers"] = [{"grid": layer["grid"]} for layer in data["layers"]]
    model = vitviz.load_model("embedded")
    traced = vitviz.trace(model, load_sample(samples()[0].id))
    rows, cols = data["layout"]["grid"]
    shares = [
        query_weights(layer, data["mapped"]).mean(0)[-rows * cols :].reshape(rows, cols)  # (keys,) -> (rows, cols)
        for layer in traced.sequence("The opening")
    ]
    picture = unpack(pack_picture(Image.fromarray(np.asarray(traced.shown))))[0]["picture"]  # a PNG file
    compared = position_map.ARRAYS[data["positions"]](model, model.layout)[0]["features"]
    return kept, {"picture": picture, "shares": np.stack(shares).astype(np.float32), "position_map": compared}


def write(folder: Path) -> None:
    """Both files."""
    folder.mkdir(exist_ok=True)
    told, arrays = prepared()
    content = pack(arrays)
    (folder / "start.bin").write_bytes(content)
    described = {"made_from": opening.made_from(), "sha256": hashlib.sha256(content).hexdigest(), "data": told}
    (folder / "start.json").write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).parents[1] / "assets" / opening.FOLDER)
