"""The grid where the picture enters, against rows = height / patch and columns = width / patch, at every size."""

from __future__ import annotations

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitviz.capture.coordinates.layouts import first_attention
from vitviz.errors import UnsupportedError
from vitviz.models import load_model, resized
from vitviz.models.layout import layout_of
from vitviz.models.registry import build_on_meta
from vitviz.support import support_of
from vitviz.tracing import trace_input

SMALL = {"depth": 1, "embed_dim": 48, "num_heads": 3}
REGISTERS = ("reg0", "reg1", "reg2", "reg3")
CASES = {
    "naflexvit_base_patch16_gap": REGISTERS,
    "naflexvit_base_patch16_map": ("reg0",),
    "vit_tiny_patch16_224": ("cls",),
    "vit_medium_patch16_reg4_gap_256": REGISTERS,
    "vit_small_patch16_dinov3": ("cls", *REGISTERS),
    "vit_base_patch16_siglip_224": (),
}


@pytest.fixture(scope="module")
def bare():
    made = {}

    def give(name, **more):
        key = (name, tuple(more.items()))
        if key not in made:
            made[key] = build_on_meta(name, **SMALL, **more)
        return made[key]

    return give


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 60), cols=st.integers(1, 60))
def test_any_size(bare, name, rows, cols):
    layout = layout_of(bare(name), name, (16 * rows, 16 * cols))
    assert (layout.grid, layout.patch_size, layout.prefix) == ((rows, cols), (16, 16), CASES[name])


@pytest.mark.parametrize("registers", [4, 8])
@pytest.mark.parametrize("size", [(96, 64), (32, 128), (16, 16), (48, 16), (64, 112), (960, 16), (16, 960), (224, 96)])
def test_counts_that_fold_into_another_grid(bare, registers, size):
    """(96, 64) and four registers are 28 tokens, which would fold into 7 x 4."""
    module = bare("naflexvit_base_patch16_gap", reg_tokens=registers)
    layout = layout_of(module, "naflex", size)
    assert layout.grid == (size[0] // 16, size[1] // 16)
    assert layout.prefix == tuple(f"reg{i}" for i in range(registers))


def test_the_trace_has_the_same_grid():
    """The rows of the attention belong to the patches that the layout names: a bright patch is the one that is looked at."""
    model = resized(load_model("naflexvit_base_patch16_gap", weights="random"), (96, 64))
    trace = trace_input(model, torch.zeros(3, 96, 64))
    assert trace.layout.grid == (6, 4) and trace.layers[0].num_keys == 6 * 4 + 4


@pytest.mark.parametrize(
    ("name", "grid", "patch"),
    [
        ("maxvit_rmlp_pico_rw_256", (64, 64), 4),
        ("maxvit_nano_rw_256", (64, 64), 4),
        ("maxvit_rmlp_nano_rw_256", (64, 64), 4),
        ("maxxvit_rmlp_nano_rw_256", (64, 64), 4),
        ("maxxvitv2_nano_rw_256", (64, 64), 4),
        ("maxvit_tiny_pm_256", (64, 64), 4),
        ("coatnet_pico_rw_224", (14, 14), 16),
        ("swin_tiny_patch4_window7_224", (56, 56), 4),
        ("edgenext_xx_small", (32, 32), 8),
        ("xcit_nano_12_p8_224", (28, 28), 8),
    ],
)
def test_windows_and_stages(name, grid, patch):
    """By the strides of the stages in front of the first attention: a stem of 2 and a stage of 2 make 4, and so on."""
    size = (grid[0] * patch, grid[1] * patch)
    layout = layout_of(build_on_meta(name), name, size)
    assert (layout.grid, layout.patch_size, layout.prefix) == (grid, (patch, patch), ())


@pytest.mark.long
def test_every_maxvit_begins_at_a_quarter_of_the_input():
    """A seeded few of the 56 names, all of which attend first behind a stem of stride 2 and a stage of stride 2."""
    names = [name for name in timm.list_models(["maxvit_*", "maxxvit*"]) if "coat" not in name]
    for name in names[:: max(1, len(names) // 6)]:
        size = timm.get_pretrained_cfg(name).input_size[1:]
        layout = layout_of(build_on_meta(name), name, size)
        assert layout.grid == (size[0] // 4, size[1] // 4), name


def test_the_pass_leaves_the_module_as_it_was():
    model = load_model("test_vit", weights="random")
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    first_attention(model.module, (96, 64))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())
    assert not any(part._forward_hooks for part in model.module.modules())


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("swin_tiny_patch4_window7_224", (96, 96)),
        ("beit_base_patch16_224", (160, 96)),
        ("vit_tiny_patch16_224", (96, 160)),
        ("maxvit_rmlp_pico_rw_256", (128, 128)),
    ],
)
def test_the_verdict_at_a_size_is_of_the_layers_that_a_trace_at_that_size_has(name, size):
    support = support_of(name, size)
    assert support.verdict != "refused"
    first = next(layer for layer in support.layers if layer.query_grid)
    stride = 4 if "16" not in name else 16
    assert first.query_grid == (size[0] // stride, size[1] // stride)


@pytest.mark.parametrize(("name", "size"), [("vit_tiny_patch16_224", (100, 96)), ("cait_xxs24_224", (448, 448))])
def test_the_verdict_refuses_the_sizes_that_loading_refuses(name, size):
    support = support_of(name, size)
    with pytest.raises(UnsupportedError) as caught:
        resized(load_model(name, weights="random"), size)
    assert support.verdict == "refused" and "dynamic_img_size" not in support.reason
    assert str(caught.value).split(" pixels")[0] == support.reason.split(" pixels")[0]


@pytest.mark.parametrize(("name", "layers", "heads"), [("efficientvit_m1", 6, [2, 3, 3, 3, 3, 3])])
def test_heads_that_are_worked_out_one_by_one_are_one_layer(name, layers, heads):
    """timm's own module: depths (1, 2, 3), heads (2, 3, 3)."""
    support = support_of(name)
    shown = [layer for layer in support.layers if layer.kind in ("global", "pooled", "windowed")]
    assert sum(layer.count for layer in shown) == layers
    assert [layer.heads for layer in support.layers for _ in range(layer.count)] == heads


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "name", ["test_vit", "swin_tiny_patch4_window7_224", "naflexvit_base_patch16_gap", "maxvit_rmlp_pico_rw_256"]
)
def test_grey_models_have_the_same_grid(name, channels):
    size = timm.get_pretrained_cfg(name).input_size[1:]
    module = build_on_meta(name, in_chans=channels)
    assert layout_of(module, name, size) == layout_of(build_on_meta(name), name, size)


def test_a_size_that_leaves_part_of_a_patch_over():
    """timm's module for 384 pixels and patches of 14 cuts the last 6 off; it is loaded as it is measured."""
    name = "vit_so400m_patch14_siglip_384"
    module = build_on_meta(name, **SMALL)
    assert layout_of(module, name, (384, 384)).grid == (27, 27)
