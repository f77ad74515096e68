"""The catalogue against timm's registry."""

from __future__ import annotations

import pytest
import timm

from vitviz.models import curated, search
from vitviz.models.layout import layout_of
from vitviz.models.names import source_of
from vitviz.models.registry import build_on_meta, pretrained_cfg


def test_every_registered_architecture_can_be_found():
    found = {entry.architecture for entry in search("", limit=100_000)}
    assert found == set(timm.list_models())


def test_words_in_any_order_and_case():
    names = [entry.name for entry in search("DINOv2 small", limit=10)]
    assert set(names) <= {entry.name for entry in search("small dinov2", limit=100)}
    assert "vit_small_patch14_dinov2.lvd142m" in names
    assert all("dinov2" in name and "small" in name for name in names)
    assert search("eva-02", limit=3) == search("eva_02", limit=3)


def test_limit_and_order():
    assert search("embedded")[0].name == "embedded"
    assert len(search("vit", limit=7)) == 7
    assert search("vit", limit=7)[0].name.startswith("vit")
    assert search("no such model") == []


def test_entries_tell_what_can_be_downloaded():
    entries = {entry.name: entry for entry in search("", limit=100_000)}
    assert entries["test_vit.r160_in1k"].downloadable
    assert entries["test_vit.r160_in1k"].input_size == (160, 160)
    assert not entries["gcvit_tiny.in1k"].downloadable  # a .pth file on a web server only
    bare = [entry for entry in entries.values() if entry.tag is None and entry.name != "embedded"]
    assert bare
    assert not any(entry.downloadable for entry in bare)


@pytest.mark.parametrize("entry", curated(), ids=lambda entry: entry.family)
def test_curated_models_exist_attend_and_can_be_had(entry):
    cfg = pretrained_cfg(entry.name)
    assert source_of(entry.name, cfg).repository == f"timm/{entry.name}"
    assert layout_of(build_on_meta(entry.name), entry.name, cfg.input_size[1:]).num_patches > 100
    assert entry.why.endswith(".")
    assert len(entry.why) < 130


def test_curated_families():
    families = " ".join(entry.family for entry in curated())
    for family in ("Supervised", "DINO", "DINOv2", "DINOv3", "MAE", "CLIP", "SigLIP", "DeiT", "EVA-02", "BEiT"):
        assert family in families
