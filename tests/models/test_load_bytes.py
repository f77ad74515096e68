"""Bytes of weights, before they are allocated, and a build that can be stopped."""

from __future__ import annotations

import threading
import tracemalloc

import pytest
import timm
import torch
from safetensors.torch import save_file

import vitviz
from vitviz.errors import Cancelled, ModelError
from vitviz.models.load import weight_bytes


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
