"""Colours in the browser, under Node.js: the rules of draw/ on the same arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from tests.frontend.conftest import Run
from vitviz.capture.attention import Attention
from vitviz.draw.scale import FLAT, Scale, levels, rounding
from vitviz.tokens import TokenLayout
from vitviz.ui.components.microscope import layer_arrays
from vitviz.ui.server.payloads import pack

RANDOM = np.random.default_rng(5)
ROW = RANDOM.gamma(0.3, size=256).astype(np.float32) / 80
SIGNED = RANDOM.normal(size=256).astype(np.float32)
LONE = np.where(np.arange(400) == 2, np.float32(5), np.float32(0))
MAPS: dict[str, np.ndarray] = {
    "weights": ROW,
    "signed": SIGNED,
    "zero": np.zeros(64, np.float32),
    "constant": np.full(64, 0.25, np.float32),
    "noise": (0.25 * (1 + 1e-6 * RANDOM.normal(size=64))).astype(np.float32),
    "tiny": ROW * np.float32(1e-20),
    "lone": LONE,
    "lone, signed": np.where(np.arange(400) == 2, np.float32(-5), np.float32(0)),
    "one": np.ones(1, np.float32),
}
SHADES = 'import { countBeyond, extent, isFlat, shader } from "./core/scale.js";\n'


KINDS = [
    (robust, signed, low) for robust in (False, True) for signed, low in ((False, None), (False, 0.0), (True, None))
]


def test_each_value_gets_the_colour_that_python_gives_it(run: Run) -> None:
    body = """
    return given.cases.map(({ values, scale }) => {
      const map = Float32Array.from(values);
      return [Array.from(map, shader(scale)), isFlat(scale), countBeyond(map, scale)];
    });"""
    cases = [
        (name, values, Scale.of(values, robust=robust, signed=signed, low=low))
        for name, values in MAPS.items()
        for robust, signed, low in KINDS
    ]
    sent = [
        {"values": values.tolist(), "scale": {"low": scale.low, "high": scale.high, "noise": scale.noise}}
        for _, values, scale in cases
    ]
    for (name, values, scale), (shades, flat, beyond) in zip(cases, run(SHADES, body, cases=sent), strict=True):
        assert shades == levels(values, scale).tolist(), (name, scale)
        assert (flat, beyond) == (scale.flat, scale.clipped), (name, scale)


def test_the_ends_of_a_scale_are_those_of_python(run: Run) -> None:
    body = "return given.cases.map(({ map, robust, signed }) => extent(Float32Array.from(map), robust, signed));"
    cases = [
        (name, values if signed else np.abs(values), robust, signed)
        for name, values in MAPS.items()
        for robust in (False, True)
        for signed in (False, True)
    ]
    sent = [{"map": values.tolist(), "robust": robust, "signed": signed} for _, values, robust, signed in cases]
    for (name, values, robust, signed), ends in zip(cases, run(SHADES, body, cases=sent), strict=True):
        scale = Scale.of(values, robust=robust, signed=signed, low=None if signed else 0.0)
        assert (ends["low"], ends["high"], ends["signed"]) == (scale.low, scale.high, signed), (name, scale)


def test_a_difference_of_equal_maps_is_the_middle_on_both_sides(run: Run) -> None:
    ours = ROW
    theirs = (ROW * (1 + 1e-6 * RANDOM.normal(size=256))).astype(np.float32)
    real = theirs.copy()
    real[7] *= 1.01
    body = (
        "return given.gaps.map(({ gap, ...scale }) => [...new Set(Float32Array.from(gap).map(shader(scale)))].sort());"
    )
    gaps, scales = [], []
    for other in (ours, theirs, real):
        scale = Scale.of(ours - other, robust=True, signed=True, noise=rounding(ours, other))
        scales.append(scale)
        gaps.append({"gap": (ours - other).tolist(), "low": scale.low, "high": scale.high, "noise": scale.noise})
    equal, alike, apart = run(SHADES, body, gaps=gaps)
    assert equal == alike == [128]
    assert len(apart) > 1, "one patch in 256 that differs is seen"
    assert [scale.flat for scale in scales] == [True, True, False]
    assert scales[1].label == "every value is 0"
    assert levels(ours - theirs, scales[1]).tolist() == [128] * 256


def test_both_sides_call_the_same_range_rounding(run: Run) -> None:
    assert run('import { FLAT } from "./core/scale.js";\n', "return FLAT;") == FLAT


PLAIN = Attention(
    "attn", *[TokenLayout((), (2, 3), (8, 8))] * 2, explicit=torch.full((2, 6, 6), 1 / 6), rows_sum_to_one=False
)


def explicit(*least: float) -> bytes:
    """Two heads whose weights are positive for every query but the last."""
    weights = torch.full((2, 6, 6), 0.2)
    weights[:, 5, 0] = torch.tensor(least)
    return pack(*layer_arrays(replace(PLAIN, explicit=weights)))


@pytest.mark.parametrize(("least", "signed"), [((0.1, 0.0), False), ((0.1, -0.1), True), ((-1e-8, 0.1), False)])
def test_a_layer_is_painted_around_zero_for_every_query_or_for_none(
    run: Run, least: tuple[float, float], signed: bool
) -> None:
    imports = "".join(
        f'import {{ {name} }} from "./{module}.js";\n'
        for name, module in (
            ("LayerWeights", "core/weights"),
            ("AttentionMaps", "core/weights"),
            ("decode", "data/source"),
        )
    )
    body = """
    const weights = new LayerWeights(decode(buffers[0])), found = [];
    for (const direction of ['at', 'by']) for (const shared of [false, true]) for (let token = 0; token < 6; token++) {
      const answer = new AttentionMaps(weights, token, { direction, shared, measure: 'weight', scale: 'robust' });
      for (const head of [0, 1, 'mean']) found.push(answer.extent(head).signed);
    }
    return found;"""
    assert set(run(imports, body, explicit(*least))) == {signed}


def test_a_photograph_under_a_map_is_grey_without_a_filter(run: Run) -> None:
    picture = Image.new("RGB", (12, 5), "#204060")
    ImageDraw.Draw(picture).rectangle([2, 1, 8, 3], fill="#f08010")
    pixels = np.asarray(picture.convert("RGBA")).reshape(-1, 4)
    body = "const bytes = Uint8ClampedArray.from(given.bytes); toGrey(bytes); return Array.from(bytes);"
    found = np.array(run('import { toGrey } from "./render/heat.js";\n', body, bytes=pixels.ravel().tolist())).reshape(
        -1, 4
    )
    luminance = pixels[:, :3] @ np.array([0.2126, 0.7152, 0.0722])
    assert np.abs(found[:, :3] - luminance[:, None]).max() <= 0.5
    assert (found[:, 3] == 255).all()


def test_the_range_of_a_map_leaves_out_the_patch_itself(run: Run) -> None:
    values = np.array([0.25, 1.0, -0.5, 0.75])
    imports = 'import { extentWithout } from "./core/scale.js";\n'
    body = "return [-1, 1, 2].map((own) => extentWithout(Float32Array.from(given.values), own));"
    found = run(imports, body, values=values.tolist())
    for own, extent in zip((None, 1, 2), found, strict=True):
        rest = values if own is None else np.delete(values, own)
        assert extent == {"low": rest.min(), "high": rest.max(), "signed": False}
