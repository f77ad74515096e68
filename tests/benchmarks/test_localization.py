"""Scenes whose truth the benchmark relies on, and its sums by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "benchmarks"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def making() -> ModuleType:
    return loaded("generated_scenes")


@pytest.fixture(scope="module")
def measuring(making: ModuleType) -> ModuleType:
    return loaded("localization")


def test_scenes_are_what_they_say(making: ModuleType):
    assert len(making.cut_out_names()) >= 20
    side = making.SIDE
    for index, scene in enumerate(making.scenes(6)):
        assert len(scene.names) == len(scene.masks) == 1 + index % 3
        pixels = np.asarray(scene.picture)
        assert pixels.shape == (side, side, 3)
        assert sum(mask.astype(int) for mask in scene.masks).max() == 1, "objects do not overlap"
        for mask, box in zip(scene.masks, scene.boxes, strict=True):
            rows, cols = np.nonzero(mask)
            assert (box.left, box.right, box.top, box.bottom) == (
                cols.min(),
                cols.max() + 1,
                rows.min(),
                rows.max() + 1,
            )
            longer = max(box.right - box.left, box.bottom - box.top)
            assert 0.15 * side <= longer <= 0.46 * side
            inside, around = (
                pixels[mask],
                pixels[box.top : box.bottom, box.left : box.right][~mask[box.top : box.bottom, box.left : box.right]],
            )
            if len(around) > 50:
                assert np.abs(inside.mean(0) - around.mean(0)).max() > 1, "something was pasted"
        if len(scene.names) == 1:
            (box,) = scene.boxes
            assert max(abs(box.left + box.right - side), abs(box.top + box.bottom - side)) > side / 5 - 4
    again = [scene.names for scene in making.scenes(6)]
    assert again == [scene.names for scene in making.scenes(6)] and len({name for names in again for name in names}) > 5


def test_overlaps_by_hand(measuring: ModuleType):
    truth = [(0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)]
    assert measuring.overlap((0.0, 0.0, 0.5, 0.25), truth) == pytest.approx(0.5)
    assert measuring.overlap((0.25, 0.25, 0.75, 0.75), truth) == pytest.approx(1 / 7)
    assert measuring.recall([(0.0, 0.0, 0.5, 0.4), (0.6, 0.0, 1.0, 0.4)], truth) == 0.5
    left, top, right, bottom = measuring.BASELINES["centre box"]
    assert (right - left) * (bottom - top) == pytest.approx(0.5, abs=1e-3)
    mask = np.zeros((4, 4), bool)
    mask[:2] = True
    assert measuring.mask_overlap(mask, np.ones((8, 8), bool)) == 0.5


def test_a_table_counts_pictures(measuring: ModuleType):
    rows = [
        {
            "name": f"generated/{index}",
            "objects": 1 + index % 2,
            "box/whole image": 0.2,
            "box/centre box": 0.6 * (index < 2),
            "box/LOST/key/224": 0.5 if index < 3 else 0.49,
            "recall/MaskCut/224": index / 4,
        }
        for index in range(4)
    ]
    told = measuring.tables(rows)
    assert "generated: 4 pictures" in told
    assert "| LOST, key, 224 | 4 | 75.0%" in told and "| +25.0% [" in told and "| +75.0% [" in told
    assert "| MaskCut, 224 | 2 | 50.0%" in told  # scenes of two objects: 1/4 and 3/4


def test_masks_are_paired_with_otsu_at_their_own_size(measuring: ModuleType):
    rows = [
        {
            "name": f"horses/{index}",
            "objects": 1,
            "mask/whole image": 0.2,
            "mask/LOST/key/168": 0.6,
            "mask/LOST/key/224": 0.7,
            f"mask/{measuring.OTSU}/168": 0.1,
            **({f"mask/{measuring.OTSU}/224": 0.4} if index < 2 else {}),
        }
        for index in range(3)
    ]
    told = measuring.tables(rows)
    assert "| LOST, key, 168 | 3 | 60.0% [60.0%, 60.0%] | +50.0% [+50.0%, +50.0%] | +40.0%" in told
    assert "| LOST, key, 224 | 2 | 70.0% [70.0%, 70.0%] | +30.0% [+30.0%, +30.0%] | +50.0%" in told


def test_a_case_is_measured(measuring: ModuleType):
    """The whole image is a baseline that is known exactly."""
    import vitviz

    model = vitviz.load_model("embedded")
    mask = np.zeros((40, 60), bool)
    mask[10:30, 15:45] = True
    picture = np.where(mask[..., None], (220, 40, 30), (60, 90, 60)).astype(np.uint8)
    case = measuring.Case("horses/made", Image.fromarray(picture), ((0.25, 0.25, 0.75, 0.75),), mask)
    found = measuring.measured(case, {224: model})
    assert found["mask/whole image"] == 0.25
    assert found["box/whole image"] == pytest.approx(0.25)
    assert {
        "box/LOST/key/224",
        "box/TokenCut/value/224",
        "mask/TokenCut, refined/key/224",
        "recall/MaskCut/224",
    } <= set(found)
    assert all(0 <= value <= 1 for value in found.values())
