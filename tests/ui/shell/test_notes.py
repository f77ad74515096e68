"""What had to be assumed of a picture or a model is said in the sidebar, as plain text."""

from __future__ import annotations

import json

import numpy as np
import pytest
import timm
from safetensors.torch import save_file

from tests.images import zoo
from tests.ui.pages.test_pages import upload
from vitviz.ui.compute import loading
from vitviz.ui.shell import text as words


def deep_png(largest: int) -> bytes:
    values = np.random.default_rng(0).integers(0, largest, (200, 300)).astype(np.uint16)
    values[0, 0] = largest
    return zoo.encoded(values, "PNG")


@pytest.mark.parametrize(("largest", "said"), [(4095, "12 bits, so 4,095 is shown white"), (65535, None)])
@pytest.mark.long
def test_a_picture_of_more_than_8_bits(app, largest, said):
    shown = upload(app(), deep_png(largest), "scan.png", "image/png")
    assert not shown.wrong
    captions = [caption.value for caption in shown.at.caption]
    assert any(said in text for text in captions) if said else not any("shown white" in text for text in captions)
    assert "fewest bits" in words.UPLOAD_HELP  # the rule itself, beside the upload


def test_a_wrapped_checkpoint(app, tmp_path, monkeypatch):
    """The prefix comes from the file, and is shown as it is: markup in it stays text."""
    monkeypatch.setenv(loading.CHECKPOINTS, str(tmp_path))
    state = timm.create_model("test_vit", num_classes=2).state_dict()
    prefix = "![x](http://127.0.0.1:9/a)"
    save_file({f"{prefix}.{name}": tensor for name, tensor in state.items()}, tmp_path / "pets.safetensors")
    (tmp_path / "pets.json").write_text(json.dumps({"architecture": "test_vit", "num_classes": 2}))
    shown = app(model="file:pets")
    (said,) = [caption.value for caption in shown.at.caption if "begins with" in caption.value]
    assert "](" not in said.replace("\\](", "") and "left aside" in said
