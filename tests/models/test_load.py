"""Loading: random weights, other sizes, names that do not exist, and builds that are stopped."""

from __future__ import annotations

import threading
import tracemalloc

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed

import vitviz
from vitviz.errors import Cancelled, HubError, ModelError, UnsupportedError
from vitviz.models import embedded, load_model, resized
from vitviz.models.load import weight_bytes
from vitviz.models.registry import build


@pytest.mark.parametrize("size", [(224, 224), pytest.param((448, 448), marks=pytest.mark.long), (112, 210)])
def test_any_size_equals_a_module_built_for_that_size(model, size):
    """One module that resamples its position embedding in each pass, against one built at the size from resampled weights."""
    stored = load_file(embedded.folder() / f"{embedded.VIT}.safetensors")
    state = {name: tensor.float() for name, tensor in stored.items()}
    for name in ("head.weight", "head.bias"):
        state[name] /= embedded.temperature(embedded.VIT)
    grid = [size[0] // 14, size[1] // 14]
    state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], grid, num_prefix_tokens=1)
    fixed = timm.create_model("vit_small_patch14_dinov2", num_classes=293, img_size=size).eval()
    fixed.load_state_dict(state)
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    other = resized(model, size)
    with torch.no_grad():
        assert torch.equal(other.module(image), fixed(image))
    assert other.layout.grid == tuple(grid)


def test_resizing_shares_the_module_and_its_lock(model):
    other = resized(model, (224, 448))
    assert other.module is model.module
    assert other.lock is model.lock
    assert (other.layout.grid, other.input_size) == ((16, 32), (224, 448))
    assert resized(model, model.input_size) is model
    assert load_model("embedded", input_size=448).layout.grid == (32, 32)


@pytest.mark.parametrize("size", [(225, 224), (0, 224), (7, 7)])
def test_a_size_the_model_does_not_take(model, size):
    with pytest.raises(UnsupportedError):
        resized(model, size)


@pytest.mark.long
def test_a_model_of_fixed_size_is_copied_and_told_its_new_size():
    model = load_model("beit_base_patch16_224", weights="random")
    assert not model.dynamic_size
    other = resized(model, (160, 96))
    assert other.module is not model.module
    assert other.lock is not model.lock
    with torch.no_grad():
        assert other.module(torch.randn(1, 3, 160, 96)).shape == (1, 1000)
        assert model.module(torch.randn(1, 3, 224, 224)).shape == (1, 1000)


def test_a_model_of_one_size_says_so():
    with pytest.raises(UnsupportedError, match="224 x 224 pixels only"):
        resized(load_model("cait_xxs24_224", weights="random"), (448, 448))


def test_random_weights_follow_their_seed_and_nothing_else():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = load_model("test_vit", weights="random:3")
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.randn(10)
    again = load_model("test_vit", weights="random:3")
    other = load_model("test_vit", weights="random")
    weight = first.module.blocks[0].attn.qkv.weight
    assert torch.equal(weight, again.module.blocks[0].attn.qkv.weight)
    assert not torch.equal(weight, other.module.blocks[0].attn.qkv.weight)
    assert (first.weights_hash, other.weights_hash) == ("random:3", "random:0")
    assert not first.trained
    assert first.labels is None


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("vit_small_patch16_223", "random", "Did you mean .*vit_small_patch16_224"),
        ("vit_base_patch16_224.nobody", None, "tagged 'nobody'; it has .*augreg"),
        ("hf-hub:timm/test_vit.r160_in1k", None, "HF_HUB_OFFLINE"),
        ("../../etc/passwd", "random", "No model is called"),
        ("", "random", "No model is called"),
        ("test_vit", "best", '"embedded", "pretrained", "random"'),
        ("test_vit", "random:x", "seed"),
        ("test_vit", "embedded", 'belong to the model "embedded"'),
        ("embedded", "pretrained", "has its own weights"),
    ],
)
def test_what_cannot_be_had_is_said(name, weights, words):
    with pytest.raises(ModelError, match=words):
        load_model(name, weights=weights)


def test_a_name_without_weights_says_what_still_works():
    name = next(name for name in timm.list_models("vit_*") if not timm.list_pretrained(name))
    with pytest.raises(HubError, match='weights="random" still works'):
        load_model(name)


def test_a_device_that_is_not_there():
    with pytest.raises(ModelError, match="not a device"):
        load_model("test_vit", weights="random", device="abacus")


@pytest.mark.parametrize("name", ["vit_small_patch14_caltech101", "models/vit_small_patch14_caltech101.safetensors"])
def test_the_model_that_was_carried_before_is_named_with_what_to_ask_for(name):
    with pytest.raises(ModelError, match=r"was removed; use 'embedded'"):
        load_model(name)


def test_the_cnn_is_no_model_of_tokens():
    with pytest.raises(ModelError, match=r"load_cnn\(\)"):
        load_model("embedded-cnn")


def test_dynamic_size_does_not_change_a_single_bit():
    """The same seed with and without timm's dynamic_img_size gives the same logits at the native size."""
    ours = build("test_vit", seed=4)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        plain = timm.create_model("test_vit").eval()
    image = torch.randn(1, 3, 160, 160)
    with torch.no_grad():
        assert torch.equal(ours(image), plain(image))


@pytest.mark.parametrize("name", ["test_vit", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_as_many_bytes_as_the_built_module_has(name):
    module = timm.create_model(name)
    built = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
    assert weight_bytes(name) == pytest.approx(built, rel=0.01), "some buffers are made with the first numbers"


def test_the_largest_model_is_counted_without_being_built():
    tracemalloc.start()
    found = weight_bytes("vit_7b_patch16_dinov3")
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 26_000_000_000 < found < 28_000_000_000, "6.7 billion numbers of 4 bytes"
    assert held < 100_000_000


def test_of_a_file_only_the_header_is_read_and_half_precision_counts_as_it_is_loaded(tmp_path):
    path = tmp_path / "half.safetensors"
    save_file({"a": torch.zeros(10, 3, dtype=torch.float16), "b": torch.zeros(7)}, path)
    assert weight_bytes(str(path)) == 4 * 37
    path.write_bytes(b"no such thing")
    with pytest.raises(ModelError, match="half"):
        weight_bytes(str(path))


@pytest.mark.parametrize("name", ["no_such_model", "vit_tiny_patch16_224.no_such_tag"])
def test_names_are_refused_as_on_loading(name):
    with pytest.raises(ModelError):
        weight_bytes(name)


@pytest.mark.parametrize("after", [1, 40, 200])
def test_a_build_stops_where_it_is_told_to_and_the_next_one_is_as_ever(after):
    drawn = vitviz.load_model("test_vit", weights="random").module.state_dict()
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise Cancelled("stop")

    before = torch.get_rng_state()
    with pytest.raises(Cancelled, match="stop"):
        vitviz.load_model("vit_base_patch16_224", weights="random", check=check)
    assert calls == after + 1, "nothing goes on after it"
    assert torch.equal(torch.get_rng_state(), before)
    again: list[dict] = []
    other = threading.Thread(
        target=lambda: again.append(vitviz.load_model("test_vit", weights="random").module.state_dict())
    )
    other.start()
    other.join(30)
    assert all(torch.equal(tensor, drawn[name]) for name, tensor in again[0].items())


def test_it_is_asked_between_the_parts_of_a_model():
    """Often enough that no part of a large model, 1% of its numbers, is made without a question."""
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1

    model = vitviz.load_model("test_vit", weights="random", check=check)
    assert calls > 2 * len(list(model.module.parameters()))


def test_an_error_of_the_check_is_not_taken_for_one_of_the_builder():
    def check() -> None:
        raise ValueError("its own words")

    with pytest.raises(ValueError, match="^its own words$"):
        vitviz.load_model("test_vit", weights="random", check=check)
