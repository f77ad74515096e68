"""Checkpoints as training scripts leave them: wrapped, at another size, in grey, in another format."""

from __future__ import annotations

import json
import re

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from vitviz.errors import ModelError, UnsupportedError
from vitviz.models import load_model
from vitviz.models.weights import without_shared_prefix


def saved(folder, state, **fields):
    """A checkpoint with its description; gives the path."""
    path = folder / "pets.safetensors"
    save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, path)
    path.with_suffix(".json").write_text(json.dumps(fields), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(7)
    return timm.create_model("test_vit", num_classes=3).eval()


PREFIXES = [
    *("module.", "_orig_mod.", "base_model.model.", "state_dict.", "model.", "model_ema.", "state_dict.module."),
    *("_orig_mod.module.", "net.backbone.encoder."),
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_that_all_names_share_is_left_aside_and_said(tmp_path, plain, prefix):
    path = saved(
        tmp_path, {prefix + name: t for name, t in plain.state_dict().items()}, architecture="test_vit", num_classes=3
    )
    model = load_model(str(path))
    assert any(repr(prefix) in note for note in model.notes)
    x = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        assert torch.equal(model.module(x), plain(x))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["module", "_orig_mod", "model", "state_dict", "x"]), max_size=4))
def test_any_wrapping_is_undone(plain, parts):
    prefix = "".join(part + "." for part in parts)
    state = plain.state_dict()
    found, taken = without_shared_prefix({prefix + name: tensor for name, tensor in state.items()}, plain)
    assert (set(found), taken) == (set(state), prefix)


def test_blocks_that_were_compiled_one_by_one_are_filled(tmp_path, plain):
    """`block.compile` leaves names alone; `torch.compile(block)` puts a prefix into the middle of them."""
    inside = {
        "module." + re.sub(r"^(blocks\.\d+)\.", r"\1._orig_mod.", name): tensor
        for name, tensor in plain.state_dict().items()
    }
    model = load_model(str(saved(tmp_path, inside, architecture="test_vit", num_classes=3)))
    assert any("'_orig_mod.'" in note for note in model.notes)
    x = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        assert torch.equal(model.module(x), plain(x))


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.complex64])
def test_weights_of_other_than_floating_point_numbers_are_refused(tmp_path, plain, dtype):
    state = {**plain.state_dict(), "blocks.0.mlp.fc1.weight": plain.blocks[0].mlp.fc1.weight.detach().to(dtype)}
    with pytest.raises(ModelError, match=f"blocks.0.mlp.fc1.weight has {str(dtype)[6:]}"):
        load_model(str(saved(tmp_path, state, architecture="test_vit", num_classes=3)))


def test_a_prefix_of_the_model_itself_stays(plain):
    blocks = {name: tensor for name, tensor in plain.state_dict().items() if name.startswith("blocks.")}
    assert without_shared_prefix(blocks, plain) == (blocks, "")


@pytest.mark.parametrize("prefix", ["module.", "state_dict."])
def test_a_prefix_that_only_most_names_share_is_named(tmp_path, plain, prefix):
    state = {prefix + name: t for name, t in plain.state_dict().items()} | {"epoch": torch.zeros(1)}
    path = saved(tmp_path, state, architecture="test_vit", num_classes=3)
    count = len(plain.state_dict())
    with pytest.raises(ModelError, match=rf"{count} of {count + 1} names begin with '{prefix[:-1]}\.'"):
        load_model(str(path))


def test_an_adapter_is_named(tmp_path, plain):
    state = {f"base_model.model.{name}": t for name, t in plain.state_dict().items()}
    state["base_model.model.blocks.0.attn.qkv.lora_A.weight"] = torch.zeros(2, 64)
    with pytest.raises(ModelError, match="LoRA.*merge"):
        load_model(str(saved(tmp_path, state, architecture="test_vit", num_classes=3)))


@pytest.mark.parametrize(
    ("name", "size"),
    [("vit_tiny_patch16_224", (384, 384)), ("vit_tiny_patch16_224", (96, 160)), ("beit_base_patch16_224", (96, 96))],
)
def test_the_input_size_of_the_json_is_the_size_of_the_positions(tmp_path, name, size):
    """The same logits as timm's own module that was built for this size."""
    small = {"depth": 1, "embed_dim": 48, "num_heads": 3, "num_classes": 3}
    torch.manual_seed(1)
    theirs = timm.create_model(name, img_size=size, **small).eval()
    arguments = {key: value for key, value in small.items() if key != "num_classes"}
    path = saved(
        tmp_path, theirs.state_dict(), architecture=name, num_classes=3, input_size=list(size), model_args=arguments
    )
    model = load_model(str(path))
    assert model.input_size == size and model.layout.grid == (size[0] // 16, size[1] // 16)
    x = torch.randn(1, 3, *size)
    with torch.no_grad():
        assert torch.allclose(model.module(x), theirs(x), atol=1e-6)


def test_a_size_that_the_json_does_not_name_is_asked_for(tmp_path):
    state = timm.create_model("test_vit", img_size=224, num_classes=3).state_dict()
    with pytest.raises(ModelError, match=r'"input_size": \[height, width\]'):
        load_model(str(saved(tmp_path, state, architecture="test_vit", num_classes=3)))


@pytest.mark.parametrize("fields", [{}, {"model_args": {"in_chans": 1}}])
def test_filters_for_grey_pictures_make_a_model_of_grey_pictures(tmp_path, fields):
    theirs = timm.create_model("test_vit", in_chans=1, num_classes=3).eval()
    model = load_model(str(saved(tmp_path, theirs.state_dict(), architecture="test_vit", num_classes=3, **fields)))
    assert model.channels == 1 and len(model.preprocessing.mean) == len(model.preprocessing.std) == 1
    x = torch.randn(1, 1, 160, 160)
    with torch.no_grad():
        assert torch.equal(model.module(x), theirs(x))


@pytest.mark.parametrize("channels", [2, 4, 13])
def test_other_channels_are_refused_by_name(tmp_path, channels):
    state = timm.create_model("test_vit", in_chans=channels, num_classes=3).state_dict()
    with pytest.raises(UnsupportedError, match=rf"{channels} channels.*3 \(RGB\), or 1 \(grey\)"):
        load_model(str(saved(tmp_path, state, architecture="test_vit", num_classes=3)))


@pytest.mark.parametrize(
    "name", ["best.pth", "best.pt", "pytorch_model.bin", "last.ckpt", "checkpoint.pth.tar", "a/b.pkl"]
)
@pytest.mark.parametrize("as_weights", [False, True])
def test_files_of_torch_name_the_two_lines_that_convert_them(name, as_weights):
    with pytest.raises(ModelError) as caught:
        load_model("test_vit", weights=name) if as_weights else load_model(name)
    message = str(caught.value)
    assert "Only safetensors files are read" in message
    assert f'torch.load("{name.split("/")[-1]}", map_location="cpu", weights_only=True)' in message
    assert "safetensors.torch.save_file" in message


@pytest.mark.parametrize("name", ["model.onnx", "model.h5", "flax_model.msgpack", "weights.npz"])
def test_other_formats_are_named_too(name):
    with pytest.raises(ModelError, match="Only safetensors files are read") as caught:
        load_model(name)
    assert "torch.load" not in str(caught.value)


def test_the_two_lines_do_what_they_say(tmp_path, plain, monkeypatch):
    """The lines are taken out of the message and run."""
    import re

    import safetensors.torch

    monkeypatch.chdir(tmp_path)
    torch.save(plain.state_dict(), "best.pth")
    with pytest.raises(ModelError) as caught:
        load_model("best.pth")
    first, second = re.findall(r"`(.*?)`", str(caught.value))
    names = {"torch": torch, "safetensors": safetensors}
    exec(first, names)
    exec(second, names)
    (tmp_path / "best.json").write_text(json.dumps({"architecture": "test_vit", "num_classes": 3}))
    assert torch.equal(load_model("best.safetensors").module.head.weight, plain.head.weight)


@pytest.mark.parametrize(
    "args",
    [
        {"depth": 10**9},
        {"embed_dim": 10**12},
        {"img_size": [-1, 5]},
        {"qkv_bias": {"a": 1}},
        {"pos_embed": "/etc/passwd"},
        {"init_values": float("nan")},
        {"img_size": [[[[1]]]] * 20},
    ],
)
def test_arguments_that_cannot_be(tmp_path, plain, args):
    path = saved(tmp_path, plain.state_dict(), architecture="test_vit", num_classes=3, model_args=args)
    with pytest.raises(ModelError, match="model_args' "):
        load_model(str(path))


@pytest.mark.parametrize(
    "preprocessing",
    [
        {"mean": float("nan")},
        {"mean": [0.5, 0.5]},
        {"std": [0, 1, 1]},
        {"std": 1e-30},
        {"std": [float("inf")] * 3},
        {"mean": None},
        {"mean": "grey"},
        {"interpolation": ["bicubic"]},
        {"interpolation": None},
        {"crop_fraction": float("nan")},
        {"crop_fraction": None},
    ],
)
def test_preprocessing_that_cannot_be(tmp_path, plain, preprocessing):
    path = saved(tmp_path, plain.state_dict(), architecture="test_vit", num_classes=3, preprocessing=preprocessing)
    with pytest.raises(ModelError, match="preprocessing"):
        load_model(str(path))
